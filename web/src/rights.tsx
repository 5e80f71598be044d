// The namespaces that an environment of an application may enter, and with which permission.
import { useState } from "react";
import { type Application, type EnvironmentName, type RequestStatus, api } from "./api";
import { PERMISSIONS } from "./applications";
import { Dialog, Field, ReceiptLine, Refusal, useChange, useLoaded } from "./ui";

interface Props {
  of: Application;
  environment: EnvironmentName;
  onChanged: () => void;
  onClose: () => void;
}

export function ChangeRights({ of, environment, onChanged, onClose }: Props) {
  const [rights, setRights] = useState<Record<string, string>>(of[environment].namespacePermissions);
  const [done, setDone] = useState<RequestStatus>();
  const namespaces = useLoaded("namespaces", api.namespaces);
  const change = useChange(async () => {
    const given = Object.fromEntries(Object.entries(rights).filter(([, permission]) => permission !== "none"));
    setDone((await api.updateApplication(of.id, { [environment]: given, resourceVersion: of.resourceVersion })).requestStatus);
    onChanged();
  });
  const names = [...new Set([...Object.keys(of[environment].namespacePermissions), ...(namespaces.value ?? []).map((one) => one.namespace)])];
  if (done)
    return (
      <Dialog title="Rights changed" onClose={onClose}>
        <ReceiptLine of={done} />
        <div className="answers">
          <button type="button" data-first onClick={onClose}>
            Close
          </button>
        </div>
      </Dialog>
    );
  return (
    <Dialog title={`Rights of ${environment}`} onClose={onClose}>
      <form onSubmit={change.run}>
        <Refusal error={change.error ?? namespaces.error} />
        <p className="lead">Its certificates and API keys are let in at these namespaces. Taking a right away ends open connections at once.</p>
        {names.length === 0 && <p className="none">There is no namespace yet.</p>}
        <div className="pair spaced">
          {names.map((name) => (
            <Field key={name} label={name}>
              {(ids) => (
                <select
                  {...ids}
                  value={rights[name] ?? "none"}
                  onChange={(event) => setRights({ ...rights, [name]: event.target.value })}
                >
                  {PERMISSIONS.map((one) => (
                    <option key={one}>{one}</option>
                  ))}
                </select>
              )}
            </Field>
          ))}
        </div>
        <div className="answers">
          <button type="button" className="quiet" onClick={onClose}>
            Cancel
          </button>
          <button disabled={change.busy}>{change.busy ? "Saving…" : "Save rights"}</button>
        </div>
      </form>
    </Dialog>
  );
}
