// Key, certificate request and keystore, made in the browser by WebCrypto. This is fetched when somebody wants a key; the private
// key goes into the keystore that is saved here, and into nothing else.
import * as asn1js from "asn1js";
import {
  Attribute,
  AttributeTypeAndValue,
  AuthenticatedSafe,
  CertBag,
  Certificate,
  CertificationRequest,
  PFX,
  PKCS8ShroudedKeyBag,
  PrivateKeyInfo,
  SafeBag,
  SafeContents,
} from "pkijs";
import { blocks, pem } from "./files";

/** Kinds of keys. Ed25519 is left out: Java 17's keystore does not take it. */
export const KINDS = {
  "ecdsa-p256": { algorithm: { name: "ECDSA", namedCurve: "P-256" }, hash: "SHA-256" },
  "ecdsa-p384": { algorithm: { name: "ECDSA", namedCurve: "P-384" }, hash: "SHA-384" },
  "rsa-3072": { algorithm: rsa(3072), hash: "SHA-256" },
  "rsa-2048": { algorithm: rsa(2048), hash: "SHA-256" },
} as const;

export type Kind = keyof typeof KINDS;

/** Rounds of PBKDF2 with HMAC-SHA-256 (what NIST SP 800-132 leaves to us; OpenSSL 3 makes 2048). */
const ROUNDS = 100_000;

/** Object identifiers of a subject's attributes, in the order they are written. */
const ATTRIBUTES = [
  ["C", "2.5.4.6"],
  ["ST", "2.5.4.8"],
  ["L", "2.5.4.7"],
  ["O", "2.5.4.10"],
  ["OU", "2.5.4.11"],
  ["CN", "2.5.4.3"],
] as const;

export type Subject = Partial<Record<(typeof ATTRIBUTES)[number][0], string>>;

function rsa(bits: number) {
  return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: bits, publicExponent: new Uint8Array([1, 0, 1]) };
}

/** A key pair. Its private half can be taken out, once, into the keystore. */
export async function makeKey(kind: Kind): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(KINDS[kind].algorithm, true, ["sign", "verify"]) as Promise<CryptoKeyPair>;
}

/** A request for a certificate (RFC 2986), PEM. */
export async function makeRequest(pair: CryptoKeyPair, kind: Kind, subject: Subject): Promise<string> {
  const request = new CertificationRequest({ version: 0, attributes: [] });
  const parts = ATTRIBUTES.flatMap(([name, type]) => {
    const value = subject[name]?.trim();
    if (!value) return [];
    const text = name === "C" ? new asn1js.PrintableString({ value }) : new asn1js.Utf8String({ value });
    return new asn1js.Set({ value: [new AttributeTypeAndValue({ type, value: text }).toSchema()] });
  });
  // pkijs would put every attribute into one part of the name; given as bytes the name stays as it is here.
  request.subject.valueBeforeDecode = new asn1js.Sequence({ value: parts }).toBER(false);
  await request.subjectPublicKeyInfo.importKey(pair.publicKey);
  await request.sign(pair.privateKey, KINDS[kind].hash);
  return pem("CERTIFICATE REQUEST", new Uint8Array(request.toSchema(true).toBER(false)));
}

/** What is saved: the keystore (PKCS#12), and the key alone, encrypted alike (PKCS#8, PEM). */
export interface Keystore {
  keystore: ArrayBuffer;
  key: string;
}

/**
 * A keystore with the key, its certificate and those above: PBES2 with AES-256 and PBKDF2, MAC with HMAC-SHA-256 (RFC 7292, 8018).
 * `password` is printable ASCII, because Java refuses anything else.
 */
export async function makeKeystore(pair: CryptoKeyPair, chain: string, alias: string, password: string): Promise<Keystore> {
  const secret = new TextEncoder().encode(password).buffer as ArrayBuffer;
  const encryption = {
    password: secret,
    // pkijs draws its own initialisation vector each time; the type alone wants one.
    contentEncryptionAlgorithm: { name: "AES-CBC", length: 256, iv: new Uint8Array(16) },
    hmacHashAlgorithm: "SHA-256",
    iterationCount: ROUNDS,
  };
  const certificates = blocks(chain);
  const leaf = certificates[0];
  if (!leaf) throw new Error("the answer has no certificate");
  // Java finds the chain of a key by this id, and shows the name.
  const id = await crypto.subtle.digest("SHA-1", leaf);
  const named = () => [
    new Attribute({ type: "1.2.840.113549.1.9.20", values: [new asn1js.BmpString({ value: alias })] }),
    new Attribute({ type: "1.2.840.113549.1.9.21", values: [new asn1js.OctetString({ valueHex: id })] }),
  ];
  const plain = await crypto.subtle.exportKey("pkcs8", pair.privateKey);
  const shrouded = new PKCS8ShroudedKeyBag({ parsedValue: PrivateKeyInfo.fromBER(plain) });
  await shrouded.makeInternalValues(encryption);
  // pkijs cuts the ciphertext into the pieces of a constructed OCTET STRING, which DER forbids and strict readers refuse (X.690 10.2).
  shrouded.encryptedData = new asn1js.OctetString({ valueHex: shrouded.encryptedData.getValue() });
  new Uint8Array(plain).fill(0);
  const keyBag = new SafeBag({ bagId: "1.2.840.113549.1.12.10.1.2", bagValue: shrouded, bagAttributes: named() });
  const certificateBags = certificates.map(
    (der, i) =>
      new SafeBag({
        bagId: "1.2.840.113549.1.12.10.1.3",
        bagValue: new CertBag({ parsedValue: Certificate.fromBER(der.buffer) }),
        ...(i === 0 ? { bagAttributes: named() } : {}),
      }),
  );
  const safe = new AuthenticatedSafe({
    parsedValue: {
      safeContents: [
        { privacyMode: 0, value: new SafeContents({ safeBags: [keyBag] }) },
        { privacyMode: 1, value: new SafeContents({ safeBags: certificateBags }) },
      ],
    },
  });
  await safe.makeInternalValues({ safeContents: [{}, encryption] });
  const pfx = new PFX({ parsedValue: { integrityMode: 0, authenticatedSafe: safe } });
  await pfx.makeInternalValues({ password: secret, iterations: ROUNDS, pbkdf2HashAlgorithm: "SHA-256", hmacHashAlgorithm: "SHA-256" });
  // RFC 5958's EncryptedPrivateKeyInfo is what the bag holds.
  const encrypted = new asn1js.Sequence({ value: [shrouded.encryptionAlgorithm.toSchema(), shrouded.encryptedData] });
  return { keystore: pfx.toSchema().toBER(false), key: pem("ENCRYPTED PRIVATE KEY", new Uint8Array(encrypted.toBER(false))) };
}
