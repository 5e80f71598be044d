// What comes from and goes to the disk of the person at the browser. A private key is never read for sending: what holds one is
// refused here, before any request is made.

/** Bytes of an upload that are looked at; requests and certificates are far smaller. */
const UPLOAD_BYTES_MAX = 64 * 1024;
/** Bytes of a signature file; base64 of an RSA 4096 signature has 684. */
const SIGNATURE_BYTES_MAX = 4 * 1024;

/** A file or a text that cannot be taken, said in one sentence. */
export class NotTaken extends Error {}

/** Saves bytes under a name. */
export function download(name: string, kind: string, content: BlobPart): void {
  const address = URL.createObjectURL(new Blob([content], { type: kind }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has taken the address by then; kept longer it would keep the bytes.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A name for files: letters, digits, and marks that no file system minds. */
export function fileName(alias: string): string {
  return (
    alias
      .replace(/[^\p{L}\p{N}._-]+/gu, "-")
      .replace(/^[-.]+/, "")
      .slice(0, 80) || "certificate"
  );
}

/** Bytes as base64. */
export function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Bytes as PEM. */
export function pem(label: string, bytes: Uint8Array): string {
  const lines = base64(bytes).match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** The bytes of each block of a PEM text. */
export function blocks(text: string): Uint8Array<ArrayBuffer>[] {
  return [...text.matchAll(/-----BEGIN [^-]+-----([^-]+)-----END [^-]+-----/g)].map((found) =>
    Uint8Array.from(atob((found[1] ?? "").replace(/\s+/g, "")), (c) => c.charCodeAt(0)),
  );
}

/** A chosen file as text that the control plane reads: PEM as it is, DER as base64. */
export async function read(file: File): Promise<string> {
  if (file.size > UPLOAD_BYTES_MAX) throw new NotTaken(`${file.name} has ${file.size} bytes; a request or certificate has a few thousand.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  return checked(text.includes("-----BEGIN ") ? text : bytes[0] === 0x30 ? base64(bytes) : text);
}

/** The same text, when it does not call itself a private key. */
export function keyless(text: string): string {
  if (/PRIVATE KEY/i.test(text)) {
    throw new NotTaken("This holds a private key. It was not sent. Take the request or the certificate alone; the key stays with you.");
  }
  return text;
}

/** The text of a request or certificate, if it cannot be a private key. */
export function checked(text: string): string {
  if (keyless(text).includes("-----BEGIN ")) return text;
  const head = firstBytes(text);
  if (head?.[0] !== 0x30) {
    throw new NotTaken(
      "This is not a certificate request or a certificate. It was not sent. Paste the whole text, from the BEGIN line to the END line, or choose the file.",
    );
  }
  // Requests and certificates begin with two SEQUENCEs; keys and keystores have a number inside the first.
  const length = head[1] ?? 0;
  const second = head[2 + (length > 0x80 ? length - 0x80 : 0)];
  if (second !== 0x30) throw new NotTaken("This looks like a key or a keystore, not a request or a certificate. It was not sent.");
  return text;
}

/** The first bytes of base64 text; undefined if the text is not base64. */
function firstBytes(text: string): number[] | undefined {
  const plain = text.replace(/\s+/g, "");
  if (!/^[A-Za-z0-9+/]{4}/.test(plain) || !/^[A-Za-z0-9+/]+=*$/.test(plain)) return undefined;
  const whole = plain.slice(0, Math.min(16, plain.length - (plain.length % 4)));
  try {
    return [...atob(whole)].map((c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** A signature file as base64; a file that is text already (base64 or PEM) is taken as it is. */
export async function readSignature(file: File): Promise<string> {
  if (file.size > SIGNATURE_BYTES_MAX) throw new NotTaken(`${file.name} has ${file.size} bytes; a signature has at most a thousand.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const plain = bytes.every((byte) => byte === 0x0a || byte === 0x0d || (byte >= 0x20 && byte < 0x7f));
  return plain ? keyless(new TextDecoder().decode(bytes)) : base64(bytes);
}
