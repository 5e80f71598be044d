// Revoking a certificate, with a reason and a word to type, and what the gateways say to it; and taking it off its hold.
import { useState } from "react";
import { type Certificate, type RequestStatus, api } from "./api";
import { Dialog, Field, ReceiptLine, Refusal, exact, useChange } from "./ui";

/** Reasons of RFC 5280 that a person may have here, most likely first. `cACompromise` is for who runs a CA. */
const REASONS: [string, string][] = [
  ["unspecified", "No particular reason"],
  ["superseded", "Another certificate took its place"],
  ["cessationOfOperation", "It is no longer needed"],
  ["keyCompromise", "Its key is known to others"],
  ["affiliationChanged", "Its owner's name or affiliation changed"],
  ["privilegeWithdrawn", "Its owner lost a right"],
  ["certificateHold", "Only for a while: put it on hold"],
];
const WORD = "REVOKE";

interface Props {
  of: Certificate;
  onChanged: () => void;
  onClose: () => void;
}

export function Revoke({ of, onChanged, onClose }: Props) {
  const [reason, setReason] = useState("unspecified");
  const [typed, setTyped] = useState("");
  const [done, setDone] = useState<RequestStatus>();
  const hold = reason === "certificateHold";
  const revoke = useChange(async () => {
    setDone((await api.revoke(of.id, reason)).requestStatus);
    onChanged();
  });
  if (done) {
    return (
      <Dialog title={hold ? "On hold" : "Revoked"} onClose={onClose}>
        <ReceiptLine of={done} />
        <p>
          <bdi>{of.alias || of.subject}</bdi>{" "}
          {hold ? "is refused at the gateways until it is released." : "is refused at the gateways from now on, permanently."}
        </p>
        <div className="answers">
          <button type="button" onClick={onClose} autoFocus data-first>
            Close
          </button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title="Revoke certificate" onClose={onClose}>
      <form onSubmit={revoke.run}>
        <Refusal error={revoke.error} />
        <p>
          <b>
            <bdi>{of.alias || of.subject}</bdi>
          </b>
          , serial number <code>{of.serial}</code>, valid until {exact(of.notAfter)}. Connections by it end at once.{" "}
          {hold ? "A hold can be taken off again." : "This cannot be undone."}
        </p>
        <Field label="Reason">
          {(ids) => (
            <select {...ids} value={reason} onChange={(event) => setReason(event.target.value)}>
              {REASONS.filter(([word]) => of.state !== "held" || word !== "certificateHold").map(([word, said]) => (
                <option key={word} value={word}>
                  {said}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label={`Type ${WORD} to confirm`}>
          {(ids) => (
            <input
              {...ids}
              type="text"
              autoComplete="off"
              spellCheck={false}
              data-first
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
        <div className="answers">
          <button type="button" className="quiet" onClick={onClose}>
            Cancel
          </button>
          <button className="danger" disabled={typed !== WORD || revoke.busy}>
            {revoke.busy ? "Revoking…" : hold ? "Put on hold" : "Revoke"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function Release({ of, onChanged, onClose }: Props) {
  const [done, setDone] = useState<RequestStatus>();
  const release = useChange(async () => {
    setDone((await api.release(of.id)).requestStatus);
    onChanged();
  });
  return (
    <Dialog title={done ? "Released" : "Take off its hold"} onClose={onClose}>
      <form onSubmit={release.run}>
        <Refusal error={release.error} />
        {done ? (
          <ReceiptLine of={done} />
        ) : (
          <p>
            The gateways let{" "}
            <b>
              <bdi>{of.alias || of.subject}</bdi>
            </b>{" "}
            in again.
          </p>
        )}
        <div className="answers">
          <button type="button" className="quiet" onClick={onClose}>
            {done ? "Close" : "Cancel"}
          </button>
          {!done && <button disabled={release.busy}>{release.busy ? "Releasing…" : "Release"}</button>}
        </div>
      </form>
    </Dialog>
  );
}
