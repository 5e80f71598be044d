// The console's only way to the control plane: `/api/v1`, by the session's cookie. It holds no credential and knows no endpoint that
// others do not have. Bodies are those of /api/docs; here stand the members that the console reads.

/** RFC 9457, as the control plane says it. */
export interface ProblemBody {
  status: number;
  code: string;
  title: string;
  detail: string;
  hint?: string;
  request_id: string;
}

/** A refusal, or a request that did not arrive. */
export class Problem extends Error {
  constructor(readonly body: ProblemBody) {
    super(body.detail);
  }
}

export interface Receipt {
  inEffect: boolean;
  connectionsCut: number;
  streamsCut: number;
  gateways: { gateway: string; milliseconds: number }[];
  outstanding: string[];
}

export interface RequestStatus {
  requestId: string;
  state: string;
  receipt?: Receipt;
}

export interface Environment {
  id: string;
  namespacePermissions: Record<string, string>;
}

export interface Application {
  id: string;
  resourceVersion: string;
  name: string;
  description: string;
  sandbox: Environment;
  production: Environment;
}

export type EnvironmentName = "sandbox" | "production";

export interface Certificate {
  id: string;
  alias: string;
  fingerprintSha256: string;
  subject: string;
  issuer: string;
  serial: string;
  notBefore: string;
  notAfter: string;
  state: "active" | "expired" | "held" | "revoked";
  proven: boolean;
  issuerId?: string;
  ownerId: string;
  ownerType: string;
  usage: { lastUsedTime?: string | null; lastUsedFrom?: string | null };
  pem: string;
  createdTime: string;
  revokedTime?: string | null;
  revocationReason?: string;
  replacedBy?: string;
}

export interface CreateCertificate {
  csr?: string;
  certificate?: string;
  alias?: string;
  application: string;
  environment: EnvironmentName;
  challenge?: string;
  signature?: string;
}

export interface CreatedCertificate {
  id: string;
  alias: string;
  subject: string;
  serial: string;
  fingerprintSha256: string;
  notAfter: string;
  proven: boolean;
  certificate: string;
  chain: string;
  warnings?: string[];
  requestStatus: RequestStatus;
}

export interface Challenge {
  challenge: string;
  command: string;
}

export interface Identity {
  id: string;
  name: string;
  access: { accountRole: string };
}

export interface Namespace {
  namespace: string;
  endpoint: string;
}

interface PageOf<T> {
  items: T[];
  nextPageToken: string;
}

/** Pages of a list that are asked for at most; with a thousand entries each this is beyond what a table is for. */
const PAGES_MAX = 20;

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { "x-countersign-console": "1" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(`/api/v1${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  } catch {
    const detail = "the control plane did not answer";
    const hint = "check the connection and try again; look at the list first, the change may have been made";
    throw new Problem({ status: 0, code: "not_reachable", title: "not reachable", detail, hint, request_id: "" });
  }
  if (answer.status === 401) {
    // The session is over: sign in and come back here.
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  }
  const text = await answer.text();
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    read = { status: answer.status, code: "unreadable", title: "unreadable", detail: "the answer cannot be read", request_id: "" };
    throw new Problem(read as ProblemBody);
  }
  if (!answer.ok) throw new Problem(read as ProblemBody);
  return read as T;
}

async function all<T>(path: string): Promise<T[]> {
  const items: T[] = [];
  let token = "";
  for (let i = 0; i < PAGES_MAX; i += 1) {
    const query = `${path.includes("?") ? "&" : "?"}page_size=1000${token && `&page_token=${encodeURIComponent(token)}`}`;
    const page = await call<PageOf<T>>("GET", path + query);
    items.push(...page.items);
    token = page.nextPageToken;
    if (!token) break;
  }
  return items;
}

const at = encodeURIComponent;

export const api = {
  me: () => call<Identity>("GET", "/current-identity"),
  namespaces: () => all<Namespace>("/namespaces"),
  applications: () => all<Application>("/applications"),
  application: (id: string) => call<Application>("GET", `/applications/${at(id)}`),
  createApplication: (body: object) => call<{ id: string }>("POST", "/applications", body),
  updateApplication: (id: string, body: object) => call<{ requestStatus: RequestStatus }>("PATCH", `/applications/${at(id)}`, body),
  certificates: (owner?: string) => all<Certificate>(owner ? `/certificates?owner_id=${at(owner)}` : "/certificates"),
  createCertificate: (body: CreateCertificate) => call<CreatedCertificate>("POST", "/certificates", body),
  challenge: (body: { certificate: string; application: string; environment: EnvironmentName }) =>
    call<Challenge>("POST", "/certificates/challenge", body),
  revoke: (id: string, reason: string) => call<{ requestStatus: RequestStatus }>("POST", `/certificates/${at(id)}/revoke`, { reason }),
  release: (id: string) => call<{ requestStatus: RequestStatus }>("POST", `/certificates/${at(id)}/release`, {}),
};
