// What every page shares: links, moments, refusals, receipts, dialogs, fields. No noun of the product is decided here.
import { type FormEvent, type ReactNode, useCallback, useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { type Certificate, Problem, type RequestStatus } from "./api";
import { NotTaken } from "./files";
import { go } from "./route";

/** Days before its end from which a certificate is said to end soon; the first notice goes out then. */
const SOON_DAYS = 30;

/** A link within the console. */
export function Link({ to, children }: { to: string; children: ReactNode }) {
  return (
    <a
      href={`/console${to}`}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

/** `2027-12-23 13:05:41 UTC` of RFC 3339. */
export function exact(moment: string): string {
  return `${moment.slice(0, 10)} ${moment.slice(11, 19)} UTC`;
}

/** How far a moment is, in the largest unit that says something. */
export function away(moment: string, now = Date.now()): string {
  const seconds = Math.round((Date.parse(moment) - now) / 1000);
  if (Math.abs(seconds) < 60) return "now";
  const [size, unit] = Math.abs(seconds) >= 2 * 86_400 ? [86_400, "day"] : Math.abs(seconds) >= 2 * 3600 ? [3600, "hour"] : [60, "minute"];
  const count = Math.floor(Math.abs(seconds) / (size as number));
  const said = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds < 0 ? `${said} ago` : `in ${said}`;
}

/** A moment, exactly and as a distance. */
export function Moment({ of }: { of: string }) {
  return (
    <time dateTime={of}>
      {exact(of)} <span className="soft">{away(of)}</span>
    </time>
  );
}

/** A revocation reason of RFC 5280 section 5.3.1 in plain words. */
export function reason(code: string): string {
  return code.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

/** Text to be copied whole: it never wraps, and the button puts it on the clipboard. */
export function Copy({ text, of }: { text: string; of: string }) {
  const [said, setSaid] = useState("Copy");
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setSaid("Copied"),
      () => setSaid("Not copied"),
    );
    setTimeout(() => setSaid("Copy"), 2000);
  };
  return (
    <button type="button" className="quiet copy" aria-label={`${said} ${of}`} onClick={copy}>
      {said}
    </button>
  );
}

/** A command line, shown as it is typed, with a button that copies it. */
export function CommandLine({ text, of }: { text: string; of: string }) {
  return (
    <div className="command">
      <pre tabIndex={0}>{text}</pre>
      <Copy text={text} of={of} />
    </div>
  );
}

/** What a certificate is good for now. */
export function State({ of }: { of: Certificate }) {
  const days = (Date.parse(of.notAfter) - Date.now()) / 86_400_000;
  const [kind, said] =
    of.state === "revoked"
      ? ["bad", `Revoked${of.revocationReason && of.revocationReason !== "unspecified" ? `: ${reason(of.revocationReason)}` : ""}`]
      : of.state === "held"
        ? ["bad", "On hold"]
        : of.state === "expired"
          ? ["bad", "Expired"]
          : days <= SOON_DAYS
            ? ["warn", "Active, ends soon"]
            : ["good", "Active"];
  return (
    <>
      <span className={`state ${kind}`}>{said}</span>
      {!of.proven && of.state === "active" && <span className="soft block">possession not proved yet</span>}
    </>
  );
}

/** What went wrong: the sentence, what to do, and the code that docs and trail know it by. `more` may offer what to do. */
export function Refusal({ error, more }: { error: unknown; more?: ReactNode }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.focus(), [error]);
  if (!error) return null;
  if (!(error instanceof Problem)) {
    const said = error instanceof NotTaken ? error.message : `This browser could not do it: ${String(error)}`;
    return (
      <div ref={box} tabIndex={-1} className="alert" role="alert">
        {said}
      </div>
    );
  }
  const { detail, hint, code, request_id: request } = error.body;
  return (
    <div ref={box} tabIndex={-1} className="alert" role="alert">
      <strong>{sentence(detail)}</strong>
      {hint && <p>{sentence(hint)}</p>}
      {more}
      <p className="soft small">
        <code>{code}</code>
        {request && (
          <>
            {" "}
            in request <code>{request}</code>
          </>
        )}
      </p>
    </div>
  );
}

/** With a capital and a full stop. */
function sentence(text: string): string {
  const said = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(said) ? said : `${said}.`;
}

/** Where a change is in effect, and what it cut. */
export function ReceiptLine({ of }: { of: RequestStatus }) {
  const receipt = of.receipt;
  if (!receipt)
    return (
      <p className="done" role="status">
        {of.state}.
      </p>
    );
  const confirmed = receipt.gateways.length;
  const slowest = Math.max(0, ...receipt.gateways.map((one) => one.milliseconds));
  const time = slowest < 1 ? "in less than 1 ms" : `after ${Math.round(slowest)} ms`;
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const cut = [
    receipt.connectionsCut > 0 && count(receipt.connectionsCut, "live connection"),
    receipt.streamsCut > 0 && count(receipt.streamsCut, "stream"),
  ].filter(Boolean);
  return (
    <p className={receipt.inEffect ? "done" : "alert"} role="status">
      In effect on {confirmed} of {confirmed + receipt.outstanding.length} gateways {confirmed > 0 && time}
      {cut.length > 0 && `; ${cut.join(" and ")} cut`}.
      {receipt.outstanding.length > 0 && ` Not confirmed by ${receipt.outstanding.join(", ")}.`}
    </p>
  );
}

/** The browser's own dialog: it holds the focus, begins at what is marked `data-first`, ends with Escape, and gives the focus back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const opener = document.activeElement;
    const element = dialog.current;
    element?.showModal();
    element?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      element?.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <div className="title">
        <h2 id={id}>{title}</h2>
        <button type="button" className="quiet close" aria-label="Close" onClick={onClose}>
          ×
        </button>
      </div>
      {children}
    </dialog>
  );
}

/** A labelled field with what is to be known about it. */
export function Field({
  label,
  hint,
  children,
}: {
  label: string;
  hint?: ReactNode;
  children: (ids: { id: string; "aria-describedby"?: string }) => ReactNode;
}) {
  const id = useId();
  const hintId = `${id}-hint`;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children(hint ? { id, "aria-describedby": hintId } : { id })}
      {hint && (
        <p className="hint" id={hintId}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** What a list or an object says when it is asked again. */
export interface Loaded<T> {
  value: T | undefined;
  error: unknown;
  again: () => void;
}

/** Asks when `key` changes, and again when told to; an answer that comes late to another key is dropped. */
export function useLoaded<T>(key: string, ask: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; value?: T; error?: unknown }>({ key });
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    let dropped = false;
    latest.current().then(
      (value) => dropped || setState({ key, value }),
      (error: unknown) => dropped || setState({ key, error }),
    );
    return () => {
      dropped = true;
    };
  }, [key, turn]);
  const again = useCallback(() => setTurn((n) => n + 1), []);
  const current = state.key === key ? state : { key };
  return { value: current.value, error: current.error, again };
}

/** One change at a time: a form's submission that is under way cannot be sent twice. */
export function useChange(change: () => Promise<void>): {
  busy: boolean;
  error: unknown;
  run: (event?: FormEvent) => void;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const run = (event?: FormEvent) => {
    event?.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(undefined);
    change().then(
      () => setBusy(false),
      (failed: unknown) => {
        setError(failed);
        setBusy(false);
      },
    );
  };
  return { busy, error, run, clear: () => setError(undefined) };
}
