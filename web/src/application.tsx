// One application: its two environments, and the certificates of each with exact end and state.
import { useState } from "react";
import { AddCertificate } from "./add_certificate";
import { type Application, type Certificate, type EnvironmentName, api } from "./api";
import { ChangeRights } from "./rights";
import { download, fileName } from "./files";
import { Release, Revoke } from "./revoke";
import { Copy, Dialog, Link, Moment, Refusal, State, exact, reason, useLoaded } from "./ui";

/** What people carry elsewhere. */
const COPIED = new Set(["Id", "Serial number", "SHA-256"]);

function Details({ of, onClose }: { of: Certificate; onClose: () => void }) {
  const rows: [string, string | null | undefined][] = [
    ["Id", of.id],
    ["Subject", of.subject],
    ["Issuer", of.issuer],
    ["Serial number", of.serial],
    ["SHA-256", of.fingerprintSha256],
    ["Valid from", exact(of.notBefore)],
    ["Valid until", exact(of.notAfter)],
    ["Possession", of.proven ? "proved" : "not proved: it lets its holder in only where no accepted CA decides"],
    ["Last used", of.usage.lastUsedTime ? `${exact(of.usage.lastUsedTime)} from ${of.usage.lastUsedFrom ?? "?"}` : "never"],
    ["Revoked", of.revokedTime ? exact(of.revokedTime) : undefined],
    ["Reason", of.revocationReason ? reason(of.revocationReason) : undefined],
    ["Replaced by", of.replacedBy],
  ];
  return (
    <Dialog title={of.alias || of.subject} onClose={onClose}>
      <State of={of} />
      <dl>
        {rows.map(
          ([name, value]) =>
            value && (
              <div className="line" key={name}>
                <dt>{name}</dt>
                <dd>
                  <bdi>{value}</bdi> {COPIED.has(name) && <Copy text={value} of={name} />}
                </dd>
              </div>
            ),
        )}
      </dl>
      <div className="answers">
        <button type="button" onClick={() => download(`${fileName(of.alias)}.pem`, "application/x-pem-file", of.pem)}>
          Save the certificate (PEM)
        </button>
      </div>
    </Dialog>
  );
}

type Opened = { what: "details" | "revoke" | "release"; certificate: Certificate };

function Row({ of, open }: { of: Certificate; open: (opened: Opened) => void }) {
  const name = of.alias || of.subject;
  const action = (what: Opened["what"], said: string) => (
    <button type="button" className="quiet" onClick={() => open({ what, certificate: of })} aria-label={`${said} ${name}`}>
      {said}
    </button>
  );
  return (
    <tr>
      <td>
        <bdi>{name}</bdi>
        <span className="soft block small">
          <bdi>{of.subject}</bdi>
        </span>
      </td>
      <td>
        <State of={of} />
      </td>
      <td data-label="Valid until">
        <Moment of={of.notAfter} />
      </td>
      <td data-label="Last used">{of.usage.lastUsedTime ? <Moment of={of.usage.lastUsedTime} /> : <span className="soft">never</span>}</td>
      <td>
        <div className="row">
          {action("details", "Details")}
          {of.state === "held" && action("release", "Release")}
          {of.state !== "revoked" && action("revoke", "Revoke")}
        </div>
      </td>
    </tr>
  );
}

function EnvironmentSection({ of, name, onChanged }: { of: Application; name: EnvironmentName; onChanged: () => void }) {
  const [adding, setAdding] = useState(false);
  const [opened, setOpened] = useState<Opened>();
  const [granting, setGranting] = useState(false);
  const environment = of[name];
  const certificates = useLoaded(environment.id, () => api.certificates(environment.id));
  const rights = Object.entries(environment.namespacePermissions);
  // Those that end first stand first; what is over stands last.
  const rank = (one: Certificate) => (one.state === "active" || one.state === "held" ? 0 : 1);
  const shown = certificates.value?.toSorted((a, b) => rank(a) - rank(b) || a.notAfter.localeCompare(b.notAfter));
  const title = name === "sandbox" ? "Sandbox" : "Production";
  const changed = () => certificates.again();
  return (
    <section aria-labelledby={name}>
      <div className="title">
        <h2 id={name}>
          {title} {shown && <small>{shown.length}</small>}
        </h2>
        <button type="button" onClick={() => setAdding(true)} aria-label={`Add certificate to ${name}`}>
          Add certificate
        </button>
      </div>
      <p className="lead">
        {rights.length === 0
          ? "No namespace lets this environment in yet: its certificates are refused at the gateway until it has a right. "
          : "May enter "}
        {rights.map(([namespace, permission], i) => (
          <span key={namespace}>
            {i > 0 && ", "}
            <code>{namespace}</code> ({permission})
          </span>
        ))}
        {rights.length > 0 && ". "}
        <button type="button" className="quiet" onClick={() => setGranting(true)} aria-label={`Change rights of ${name}`}>
          {rights.length === 0 ? "Give it a right" : "Change rights"}
        </button>
      </p>
      <Refusal error={certificates.error} />
      {!shown && !certificates.error && (
        <p className="none" role="status">
          Loading…
        </p>
      )}
      {shown?.length === 0 && <p className="none">No certificate yet.</p>}
      {shown && shown.length > 0 && (
        <div className="scroll">
          <table className="cards">
            <thead>
              <tr>
                <th>Certificate</th>
                <th>State</th>
                <th>Valid until</th>
                <th>Last used</th>
                <th>
                  <span className="away">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <Row key={one.id} of={one} open={setOpened} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {adding && <AddCertificate application={of} environment={name} onChanged={changed} onClose={() => setAdding(false)} />}
      {granting && <ChangeRights of={of} environment={name} onChanged={onChanged} onClose={() => setGranting(false)} />}
      {opened?.what === "details" && <Details of={opened.certificate} onClose={() => setOpened(undefined)} />}
      {opened?.what === "revoke" && <Revoke of={opened.certificate} onChanged={changed} onClose={() => setOpened(undefined)} />}
      {opened?.what === "release" && <Release of={opened.certificate} onChanged={changed} onClose={() => setOpened(undefined)} />}
    </section>
  );
}

export function ApplicationPage({ id }: { id: string }) {
  const loaded = useLoaded(id, () => api.application(id));
  const of = loaded.value;
  document.title = `${of?.name ?? "Application"} – Countersign`;
  return (
    <>
      <p className="soft small">
        <Link to="/">Applications</Link>
      </p>
      <Refusal error={loaded.error} />
      {!of && !loaded.error && (
        <p className="none" role="status">
          Loading…
        </p>
      )}
      {of && (
        <>
          <h1>
            <bdi>{of.name}</bdi>
          </h1>
          {of.description && (
            <p className="lead">
              <bdi>{of.description}</bdi>
            </p>
          )}
          <EnvironmentSection of={of} name="sandbox" onChanged={loaded.again} />
          <EnvironmentSection of={of} name="production" onChanged={loaded.again} />
        </>
      )}
    </>
  );
}
