// The applications that the caller may see, with what ends next in each environment; and a new one.
import { useState } from "react";
import { type Application, type Certificate, type EnvironmentName, api } from "./api";
import { go } from "./route";
import { Dialog, Field, Link, Moment, Refusal, useChange, useLoaded } from "./ui";

function Standing({ certificates }: { certificates: Certificate[] }) {
  const active = certificates.filter((one) => one.state === "active");
  const next = active.map((one) => one.notAfter).sort()[0];
  if (!next) return <span className="soft">no active certificate</span>;
  return (
    <>
      {active.length} active, {active.length > 1 ? "the first ends" : "ends"} <Moment of={next} />
    </>
  );
}

function Row({ of, certificates }: { of: Application; certificates: Certificate[] }) {
  const owned = (environment: EnvironmentName) => certificates.filter((one) => one.ownerId === of[environment].id);
  return (
    <tr>
      <td>
        <Link to={`/applications/${of.id}`}>
          <bdi>{of.name}</bdi>
        </Link>
        {of.description && (
          <span className="soft block">
            <bdi>{of.description}</bdi>
          </span>
        )}
      </td>
      <td data-label="Sandbox">
        <Standing certificates={owned("sandbox")} />
      </td>
      <td data-label="Production">
        <Standing certificates={owned("production")} />
      </td>
    </tr>
  );
}

/** Permissions of a namespace, least first. */
export const PERMISSIONS = ["none", "read", "write", "admin"];

function NewApplication({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [namespace, setNamespace] = useState("");
  const [sandbox, setSandbox] = useState("write");
  const [production, setProduction] = useState("none");
  const namespaces = useLoaded("namespaces", api.namespaces);
  const create = useChange(async () => {
    const given = (permission: string) => (namespace && permission !== "none" ? { [namespace]: permission } : {});
    const made = await api.createApplication({ name, description, sandbox: given(sandbox), production: given(production) });
    go(`/applications/${made.id}`);
  });
  const permission = (label: string, value: string, set: (value: string) => void) => (
    <Field label={label}>
      {(ids) => (
        <select {...ids} value={value} onChange={(event) => set(event.target.value)}>
          {PERMISSIONS.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      )}
    </Field>
  );
  return (
    <Dialog title="New application" onClose={onClose}>
      <form onSubmit={create.run}>
        <Refusal error={create.error} />
        <Field label="Name">
          {(ids) => (
            <input
              {...ids}
              type="text"
              required
              maxLength={128}
              value={name}
              onChange={(event) => setName(event.target.value)}
              data-first
            />
          )}
        </Field>
        <Field label="What it is for (optional)">
          {(ids) => (
            <input {...ids} type="text" maxLength={1024} value={description} onChange={(event) => setDescription(event.target.value)} />
          )}
        </Field>
        <Field
          label="Namespace it may enter"
          hint="The gateway lets its certificates in there. Further namespaces can be given on the application's page."
        >
          {(ids) => (
            <select {...ids} value={namespace} onChange={(event) => setNamespace(event.target.value)}>
              <option value="">none yet</option>
              {namespaces.value?.map((one) => (
                <option key={one.namespace}>{one.namespace}</option>
              ))}
            </select>
          )}
        </Field>
        {namespace && (
          <div className="pair">
            {permission("Permission of sandbox", sandbox, setSandbox)}
            {permission("Permission of production", production, setProduction)}
          </div>
        )}
        <div className="answers">
          <button disabled={create.busy}>{create.busy ? "Making it…" : "Create application"}</button>
        </div>
      </form>
    </Dialog>
  );
}

export function ApplicationsPage() {
  const [adding, setAdding] = useState(false);
  const loaded = useLoaded("applications", async () => {
    const [applications, certificates] = await Promise.all([api.applications(), api.certificates()]);
    return { applications, certificates };
  });
  document.title = "Applications – Countersign";
  const shown = loaded.value;
  return (
    <>
      <div className="title">
        <h1>Applications</h1>
        <button onClick={() => setAdding(true)}>New application</button>
      </div>
      <p className="lead">An application has two environments, sandbox and production. Each has certificates and rights of its own.</p>
      <div className="spaced">
        <Refusal error={loaded.error} />
        {!shown && !loaded.error && (
          <p className="none" role="status">
            Loading…
          </p>
        )}
        {shown?.applications.length === 0 && (
          <p className="none">There is no application yet. Make the first one, then add its certificate.</p>
        )}
        {shown && shown.applications.length > 0 && (
          <div className="scroll">
            <table className="cards">
              <thead>
                <tr>
                  <th>Application</th>
                  <th>Sandbox</th>
                  <th>Production</th>
                </tr>
              </thead>
              <tbody>
                {shown.applications.map((one) => (
                  <Row key={one.id} of={one} certificates={shown.certificates} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </div>
      {adding && <NewApplication onClose={() => setAdding(false)} />}
    </>
  );
}
