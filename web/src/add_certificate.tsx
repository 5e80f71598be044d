// *Add certificate*: the four ways to one. What is refused is said where it was asked; nothing typed is lost by it.
import { useEffect, useState } from "react";
import { type Application, type Challenge, type CreatedCertificate, type EnvironmentName, Problem, api } from "./api";
import { Finished } from "./added_certificate";
import { NotTaken, checked, download, keyless, read, readSignature } from "./files";
import type { Keystore, Kind, Subject } from "./pki";
import { CommandLine, Dialog, Field, Refusal, useChange } from "./ui";

type Way = "key" | "file" | "paste" | "existing";

const WAYS: [Way, string, string][] = [
  ["key", "Make a new key", "in this browser; the key is saved here and sent nowhere"],
  ["file", "Upload a request", "a CSR file that was made with your own key"],
  ["paste", "Paste a request", "the same as text"],
  ["existing", "Upload a certificate", "one that a CA trusted here has issued"],
];

/** Shown before pki.ts, which has them, is fetched. */
const KINDS: [Kind, string][] = [
  ["ecdsa-p256", "ECDSA P-256 (recommended)"],
  ["ecdsa-p384", "ECDSA P-384"],
  ["rsa-3072", "RSA 3072, for old clients"],
  ["rsa-2048", "RSA 2048, for very old clients"],
];
/** Attributes beside CN, with what they are and how long they may be (RFC 5280 appendix A). */
const ATTRIBUTES: [Exclude<keyof Subject, "CN">, string, number][] = [
  ["O", "Organization (O)", 64],
  ["OU", "Unit (OU)", 64],
  ["L", "City (L)", 128],
  ["ST", "State or province (ST)", 128],
  ["C", "Country code (C)", 2],
];
const PASSWORD_CHARS_MIN = 8;

interface Props {
  application: Application;
  environment: EnvironmentName;
  onChanged: () => void;
  onClose: () => void;
}

/** What was made, and the key's files where it was made here. */
export interface Added {
  made: CreatedCertificate;
  kept?: Keystore;
}

interface WayProps extends Props {
  onAdded: (added: Added) => void;
}

/** The CN that a refusal says is free (rule S14). */
function proposed(error: unknown): string | undefined {
  if (!(error instanceof Problem) || error.body.code !== "duplicate_certificate") return undefined;
  return /CN=(.+?)(?: is free)?; or revoke /.exec(error.body.hint ?? "")?.[1];
}

/** An alias: what people call it. */
function Alias({ value, set, required }: { value: string; set: (value: string) => void; required?: boolean }) {
  return (
    <Field
      label={required ? "Alias" : "Alias (optional)"}
      hint={
        required ? "What you will know it by in lists, in notices and in the keystore." : "Without one it is called by the name (CN) in it."
      }
    >
      {(ids) => (
        <input
          {...ids}
          type="text"
          maxLength={128}
          required={required ?? false}
          autoComplete="off"
          value={value}
          onChange={(event) => set(event.target.value)}
        />
      )}
    </Field>
  );
}

function Submit({ busy, said, working }: { busy: boolean; said: string; working: string }) {
  return (
    <div className="answers">
      <button disabled={busy}>{busy ? working : said}</button>
    </div>
  );
}

function ByKey({ application, environment, onAdded }: WayProps) {
  const [alias, setAlias] = useState("");
  const [subject, setSubject] = useState<Subject>({});
  const [kind, setKind] = useState<Kind>("ecdsa-p256");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const create = useChange(async () => {
    if (password !== again) throw new NotTaken("The two passwords differ.");
    if (!/^[\x20-\x7e]+$/.test(password))
      throw new NotTaken("The password may have letters, digits and marks of ASCII only: Java reads no others.");
    const pki = await import("./pki");
    const pair = await pki.makeKey(kind);
    const csr = await pki.makeRequest(pair, kind, { ...subject, CN: subject.CN || alias });
    const made = await api.createCertificate({ csr, alias, application: application.id, environment });
    onAdded({ made, kept: await pki.makeKeystore(pair, made.certificate + made.chain, alias, password) });
  });
  const free = proposed(create.error);
  const attribute = (name: keyof Subject, label: string, max: number, hint?: string) => (
    <Field key={name} label={label} hint={hint}>
      {(ids) => (
        <input
          {...ids}
          type="text"
          maxLength={max}
          autoComplete="off"
          value={subject[name] ?? ""}
          placeholder={name === "CN" ? alias : ""}
          onChange={(event) => setSubject({ ...subject, [name]: name === "C" ? event.target.value.toUpperCase() : event.target.value })}
        />
      )}
    </Field>
  );
  return (
    <form onSubmit={create.run}>
      <Refusal
        error={create.error}
        more={
          free && (
            <button type="button" className="quiet" onClick={() => setSubject({ ...subject, CN: free })}>
              Use CN={free}
            </button>
          )
        }
      />
      <Alias value={alias} set={setAlias} required />
      {attribute("CN", "Common name (CN)", 64, "The name in the certificate; the alias when empty.")}
      <details>
        <summary>More of the name, and the kind of key</summary>
        <div className="pair">{ATTRIBUTES.map(([name, label, max]) => attribute(name, label, max))}</div>
        <Field label="Kind of key">
          {(ids) => (
            <select {...ids} value={kind} onChange={(event) => setKind(event.target.value as Kind)}>
              {KINDS.map(([one, said]) => (
                <option key={one} value={one}>
                  {said}
                </option>
              ))}
            </select>
          )}
        </Field>
      </details>
      <div className="pair">
        <Field label="Keystore password" hint="It locks the files you save; nobody else knows it, and it cannot be recovered.">
          {(ids) => (
            <input
              {...ids}
              type="password"
              required
              minLength={PASSWORD_CHARS_MIN}
              autoComplete="new-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        <Field label="The same again">
          {(ids) => (
            <input
              {...ids}
              type="password"
              required
              autoComplete="new-password"
              value={again}
              onChange={(event) => setAgain(event.target.value)}
            />
          )}
        </Field>
      </div>
      <Submit busy={create.busy} said="Make key and certificate" working="Making them…" />
    </form>
  );
}

function ByRequest({ application, environment, onAdded, pasted }: WayProps & { pasted: boolean }) {
  const [alias, setAlias] = useState("");
  const [text, setText] = useState("");
  const [file, setFile] = useState<File>();
  const create = useChange(async () => {
    const csr = pasted ? checked(text) : file ? await read(file) : "";
    if (!csr.trim()) throw new NotTaken("There is no request yet.");
    const made = await api.createCertificate({ csr, ...(alias ? { alias } : {}), application: application.id, environment });
    onAdded({ made });
  });
  return (
    <form onSubmit={create.run}>
      <Refusal error={create.error} />
      {pasted ? (
        <Field label="Certificate request" hint="PEM, beginning with -----BEGIN CERTIFICATE REQUEST-----">
          {(ids) => <textarea {...ids} required spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />}
        </Field>
      ) : (
        <Field label="Certificate request" hint="PEM or DER, at most 64 KB. Never the key.">
          {(ids) => <input {...ids} type="file" required onChange={(event) => setFile(event.target.files?.[0])} />}
        </Field>
      )}
      <Alias value={alias} set={setAlias} />
      <Submit busy={create.busy} said="Have it issued" working="Being issued…" />
    </form>
  );
}

function ByCertificate({ application, environment, onAdded }: WayProps) {
  const [alias, setAlias] = useState("");
  const [file, setFile] = useState<File>();
  const [signature, setSignature] = useState("");
  const [asked, setAsked] = useState<{ certificate: string; challenge: Challenge }>();
  const of = { application: application.id, environment };
  const certificate = async () => (file ? read(file) : "");
  const prove = useChange(async () => {
    const text = await certificate();
    if (!text) throw new NotTaken("Choose the certificate first.");
    create.clear();
    setAsked({ certificate: text, challenge: await api.challenge({ certificate: text, ...of }) });
  });
  const create = useChange(async () => {
    const named = alias ? { alias } : {};
    const proof = asked ? { challenge: asked.challenge.challenge, signature: keyless(signature).trim() } : {};
    const made = await api.createCertificate({ certificate: asked?.certificate ?? (await certificate()), ...named, ...of, ...proof });
    onAdded({ made });
  });
  return (
    <form onSubmit={create.run}>
      <Refusal error={create.error ?? prove.error} />
      <Field label="Certificate" hint="PEM or DER, at most 64 KB. Its CA must be one that this environment trusts. Never the key.">
        {(ids) => (
          <input
            {...ids}
            type="file"
            required
            onChange={(event) => {
              setFile(event.target.files?.[0]);
              setAsked(undefined);
              create.clear();
              prove.clear();
            }}
          />
        )}
      </Field>
      <Alias value={alias} set={setAlias} />
      {asked ? (
        <>
          <h3>Prove that you hold its key</h3>
          <ol className="next">
            <li>
              Save the text that is to be signed, beside your key:{" "}
              <button type="button" className="quiet" onClick={() => download("challenge.txt", "text/plain", asked.challenge.challenge)}>
                Save challenge.txt
              </button>
            </li>
            <li>
              Sign it there within an hour. The last command prints the signature in base64.
              <CommandLine text={asked.challenge.command} of="commands" />
            </li>
            <li>
              <Field
                label="Signature, in base64"
                hint={
                  <label className="plain">
                    Or choose the file <code>challenge.sig</code>{" "}
                    <input
                      type="file"
                      onChange={(event) => {
                        const chosen = event.target.files?.[0];
                        if (chosen) void readSignature(chosen).then(setSignature, (failed: unknown) => setSignature(String(failed)));
                      }}
                    />
                  </label>
                }
              >
                {(ids) => (
                  <textarea
                    {...ids}
                    required
                    spellCheck={false}
                    value={signature}
                    onChange={(event) => setSignature(event.target.value)}
                    autoFocus
                  />
                )}
              </Field>
            </li>
          </ol>
          <div className="answers">
            <button
              type="button"
              className="quiet"
              onClick={() => {
                setAsked(undefined);
                create.clear();
              }}
            >
              Without proof
            </button>
            <button disabled={create.busy}>{create.busy ? "Being added…" : "Add with proof"}</button>
          </div>
        </>
      ) : (
        <>
          <p className="hint">
            Without proof it lets its holder in only where no accepted CA decides, and anyone who proves possession of the key may claim it.
          </p>
          <div className="answers">
            <button type="button" disabled={prove.busy} onClick={() => prove.run()}>
              Prove possession
            </button>
            <button className="quiet" disabled={create.busy}>
              {create.busy ? "Being added…" : "Add as unproven"}
            </button>
          </div>
        </>
      )}
    </form>
  );
}

export function AddCertificate(props: Props) {
  const [way, setWay] = useState<Way>("key");
  const [added, setAdded] = useState<Added>();
  const [saved, setSaved] = useState(false);
  const unsaved = added?.kept !== undefined && !saved;
  useEffect(() => {
    if (!unsaved) return undefined;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [unsaved]);
  const onAdded = (done: Added) => {
    setAdded(done);
    props.onChanged();
  };
  const close = () => {
    if (!unsaved || confirm("The key was not saved yet. It is nowhere else; without it the certificate is of no use. Close all the same?"))
      props.onClose();
  };
  const all = { ...props, onAdded };
  const environment = props.environment === "sandbox" ? "sandbox" : "production";
  if (added)
    return (
      <Dialog title="Certificate added" onClose={close}>
        <Finished added={added} of={props.application} environment={props.environment} onSaved={() => setSaved(true)} onClose={close} />
      </Dialog>
    );
  return (
    <Dialog title={`Add certificate to ${environment}`} onClose={close}>
      <fieldset>
        <legend className="soft">Four ways</legend>
        <div className="ways">
          {WAYS.map(([name, said, more]) => (
            <label key={name}>
              <input
                type="radio"
                name="way"
                value={name}
                checked={way === name}
                onChange={() => setWay(name)}
                data-first={name === "key" || undefined}
              />
              <span>
                <b>{said}</b>
                <span className="soft">{more}</span>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      {way === "key" && <ByKey {...all} />}
      {(way === "file" || way === "paste") && <ByRequest key={way} {...all} pasted={way === "paste"} />}
      {way === "existing" && <ByCertificate {...all} />}
    </Dialog>
  );
}
