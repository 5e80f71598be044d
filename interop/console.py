"""The console in a real browser: sign in, make a key and its certificate, save the keystore, open it with openssl and keytool, use it with
curl through the gateway, revoke it and see curl refused; the other three ways to a certificate; what a refusal says. No request may carry
the private key, and the page's own policy may refuse nothing. One line a promise; non-zero if one is not kept."""
import base64
import os
import subprocess

from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

import chromium
import planes
import report

PASSWORD = "Correct horse 7~"


class Run:
    def __init__(self):
        self.sign = planes.Countersign()
        os.mkdir(self.sign.path("saved"))
        self.page = chromium.Chromium(self.sign.control, self.sign.path("saved"))
        self.told = report.Report(self.page.version.replace("Headless", ""))
        self.console = f"https://{self.sign.control}/console/"
        self.keystore = None

    def sign_in(self):
        page = self.page
        page.open(self.console)
        report.need("/login?next=%2Fconsole%2F" in page.run("location.href"), page.run("location.href"))
        page.open(self.sign.env["COUNTERSIGN_LOGIN"] + "&next=/console/")
        page.press("Sign in")
        page.says("There is no application yet")
        report.need(page.run("location.pathname") == "/console/", page.run("location.pathname"))

    def application(self):
        page = self.page
        page.press("New application")
        page.fill("Name", "orders")
        page.choose("Namespace it may enter", self.sign.namespace)
        page.press("Create application")
        page.says("No certificate yet.")

    def by_key(self, alias, more=None):
        page = self.page
        page.press("Add certificate to sandbox")
        page.fill("Alias", alias)
        page.press("More of the name, and the kind of key")
        page.fill("Organization", "Acmé")
        if more:
            page.fill(*more)
        page.fill("Keystore password", PASSWORD)
        page.fill("The same again", PASSWORD)
        page.press("Make key and certificate")

    def make(self):
        page = self.page
        self.by_key("orders one", ("Common name", "orders-1"))
        page.says("Save the key now")
        page.says("In effect on 1 of 1 gateways")
        page.press("Save keystore (.p12)")
        page.press("Save key (PEM)")
        page.press("Save certificate and chain (PEM)")
        self.keystore = page.saved("orders-one.p12")
        page.saved("orders-one.key.pem")
        page.saved("orders-one.pem")
        page.press("Done")
        page.until("document.querySelectorAll('#main tbody tr').length === 1")
        page.says("CN=orders-1")

    def opened(self):
        sign = self.sign
        shown = sign.run("openssl", "pkcs12", "-in", self.keystore, "-passin", f"pass:{PASSWORD}", "-info", "-noout").stderr
        report.need("AES-256-CBC" in shown and "MAC: sha256" in shown and "hmacWithSHA256" in shown, shown)
        if planes.tool("keytool"):
            listed = sign.run("keytool", "-list", "-v", "-keystore", self.keystore, "-storetype", "PKCS12", "-storepass", PASSWORD).stdout
            report.need("PrivateKeyEntry" in listed and "Alias name: orders one" in listed and "chain length: 1" not in listed, listed)
        saved = sign.path("saved/orders-one.key.pem")
        key = sign.run("openssl", "pkey", "-in", saved, "-passin", f"pass:{PASSWORD}", "-text", "-noout").stdout
        report.need("NIST CURVE: P-256" in key, "an ECDSA key on P-256")
        with open(saved, "rb") as pem:
            report.need(load_pem_private_key(pem.read(), PASSWORD.encode()).key_size == 256, "a strict DER reader opens the PEM key")

    def curl(self):
        """The status of a request through the gateway with the keystore; 0 when the handshake or the connection was refused."""
        return self.sign.run(
            "curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", "--cacert", self.sign.ca_file, "--cert-type", "P12", "--cert",
            f"{self.keystore}:{PASSWORD}", self.sign.env["COUNTERSIGN_GATEWAY_URL"] + "/hello", check=False).stdout

    def used(self):
        report.need(self.curl() == "200", self.curl())

    def duplicate(self):
        page = self.page
        self.by_key("orders-1")
        page.says("duplicate_certificate")
        page.says("has the same Distinguished Name")
        page.press("Use CN=orders-2")
        page.press("Make key and certificate")
        page.says("Save the key now")
        page.press("Save keystore (.p12)")
        page.saved("orders-1.p12")
        page.press("Done")
        page.says("CN=orders-2")

    def passwords(self):
        page = self.page
        page.press("Add certificate to sandbox")
        page.fill("Alias", "never")
        page.fill("Keystore password", PASSWORD)
        page.fill("The same again", PASSWORD + "x")
        page.press("Make key and certificate")
        page.says("The two passwords differ.")
        page.key("Escape", 27)
        page.until("!document.querySelector('dialog[open]')")
        report.need(page.run("document.activeElement.getAttribute('aria-label')") == "Add certificate to sandbox", "the focus goes back")

    def request(self, name):
        self.sign.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                      self.sign.path(f"{name}.key"), "-out", self.sign.path(f"{name}.csr"), "-subj", f"/CN={name}")
        return self.sign.path(f"{name}.csr")

    def way(self, said, environment="production"):
        page = self.page
        page.press(f"Add certificate to {environment}")
        page.until(f"seen.field({said!r})")
        page.run(f"seen.field({said!r}).click()")

    def by_request(self):
        page = self.page
        self.way("Upload a request")
        page.upload("Certificate request", self.request("by-file"))
        page.press("Have it issued")
        page.says("In effect on 1 of 1 gateways")
        page.press("Done")
        self.way("Paste a request")
        with open(self.request("by-paste")) as f:
            page.fill("Certificate request", f.read())
        page.press("Have it issued")
        page.says("In effect on 1 of 1 gateways")
        page.press("Done")
        page.says("CN=by-paste")

    def key_is_kept_back(self):
        page = self.page
        self.way("Upload a request")
        sent = len(page.requests)
        page.upload("Certificate request", self.sign.path("by-file.key"))
        page.press("Have it issued")
        page.says("It was not sent.")
        self.sign.run("openssl", "pkey", "-in", self.sign.path("by-file.key"), "-outform", "DER", "-out", self.sign.path("key.der"))
        page.upload("Certificate request", self.sign.path("key.der"))
        page.press("Have it issued")
        page.says("This looks like a key or a keystore, not a request or a certificate. It was not sent.")
        report.need(len(page.requests) == sent, page.requests[sent:])
        page.press("Close")
        for text in ("hello", "hello world, no request", "aGVsbG8gd29ybGQ="):
            self.way("Paste a request")
            page.fill("Certificate request", text)
            page.press("Have it issued")
            page.says("This is not a certificate request or a certificate. It was not sent.")
            page.press("Close")
        report.need(len(page.requests) == sent, page.requests[sent:])

    def existing(self):
        sign, page = self.sign, self.page
        certificate, key = sign.client_certificate()
        self.way("Upload a certificate")
        page.upload("Certificate", certificate)
        page.press("Add as unproven")
        page.says("not_trusted")
        sign.cli("application", "trusted-ca", "add", "--environment", "production", "--ca-certificate-file", sign.path("ca.crt"))
        page.press("Prove possession")
        page.says("Prove that you hold its key")
        report.need("not_trusted" not in page.text(), "an old refusal stays above the new steps")
        page.press("Save challenge.txt")
        challenge = page.saved("challenge.txt")
        # The command as it is shown, with the key under the name that it wants.
        command = page.run("seen.top().querySelector('.command pre').innerText")
        os.link(key, os.path.join(os.path.dirname(challenge), "client.key"))
        signed = subprocess.run(["sh", "-c", command], cwd=os.path.dirname(challenge), capture_output=True, check=True).stdout
        page.fill("Signature, in base64", signed.decode())
        page.press("Add with proof")
        page.says("In effect on 1 of 1 gateways")
        report.need(page.run("document.querySelector('dialog dl').innerText.includes('not proved')") is False, page.text())
        page.press("Done")

    def revoke(self):
        page = self.page
        page.press("Revoke orders one")
        page.choose("Reason", "keyCompromise")
        page.fill("Type REVOKE", "revoke")
        report.need(page.run("seen.top().querySelector('button.danger').disabled"), "the word as it is written")
        page.fill("Type REVOKE", "REVOKE")
        page.key("Enter", 13, "\r")
        page.says("In effect on 1 of 1 gateways")
        page.press("Close")
        page.says("Revoked: key compromise")
        report.need(self.curl() != "200", "curl was let in")

    def nothing_leaked(self):
        keys = []
        for name in os.listdir(self.sign.path("saved")):
            if name.endswith(".p12"):
                with open(self.sign.path(f"saved/{name}"), "rb") as f:
                    key = pkcs12.load_key_and_certificates(f.read(), PASSWORD.encode())[0]
                keys.append(key.private_numbers().private_value.to_bytes(32, "big"))
        report.need(len(keys) == 2, keys)
        sent = "\n".join(request.get("postData", "") + request["url"] for request in self.page.requests)
        report.need("BEGIN CERTIFICATE REQUEST" in sent, "the bodies were seen")
        plain = sent.replace("\\n", "").replace("\n", "")
        for key in keys:
            # In base64 a run of bytes may stand in three ways; the ends, which share letters with their neighbours, are left out.
            ways = [key.hex(), key.hex().upper()]
            ways += [base64.b64encode(b"\0" * shift + key).decode()[4:-4] for shift in range(3)]
            report.need(not any(way in plain for way in ways), "a request carries the private key")
        report.need("PRIVATE KEY" not in sent and PASSWORD not in sent, "a request carries a key or the password")
        own = f"https://{self.sign.control}/"
        foreign = [request["url"] for request in self.page.requests if not request["url"].startswith((own, "blob:", "data:"))]
        report.need(foreign == [] or foreign == ["about:blank"], foreign)

    def fit_for_all(self):
        page = self.page
        unnamed = page.unnamed()
        page.press("Add certificate to sandbox")
        page.until("document.activeElement.value === 'key'")
        unnamed += page.unnamed()
        page.key("Tab", 9)
        report.need(page.run("document.activeElement === seen.field('Alias')"), "the next stop is the alias")
        page.key("Escape", 27)
        report.need(unnamed == [], unnamed)
        shape = "document.documentElement.lang === 'en' && document.querySelectorAll('h1').length === 1"
        report.need(page.run(shape), "a language, one heading")
        report.need(page.refused == [], page.refused)

    def foreign(self):
        """The cookie alone, as another page's form sends it, is no credential of the API."""
        status = self.page.run("fetch('/api/v1/account').then((answer) => answer.status)")
        report.need(status == 401, status)


def main():
    if chromium.program() is None:
        report.Report("console").skipped("all of it", "no Chromium; by hand: sudo apt-get install chromium")
        report.end()
    run = Run()
    told = run.told
    for what, does in [
        ("who is signed out signs in and comes back", run.sign_in),
        ("an application is made", run.application),
        ("a key is made here, its certificate issued, keystore and PEM saved", run.make),
        ("openssl and keytool open the keystore: AES-256, SHA-256, alias, chain", run.opened),
        ("curl comes in by the keystore", run.used),
        ("a second certificate of the name is refused with the next name, which one press takes", run.duplicate),
        ("two passwords that differ are said; Escape closes and gives the focus back", run.passwords),
        ("a request is uploaded, another one pasted", run.by_request),
        ("a private key that is chosen by mistake is not sent", run.key_is_kept_back),
        ("a certificate of a trusted CA is added with proof of possession", run.existing),
        ("revoked with a reason and a typed word, with its receipt; curl is refused", run.revoke),
        ("no request carried the private key or the password, or went elsewhere", run.nothing_leaked),
        ("every control has a name, keys lead on, and the policy had nothing to refuse", run.fit_for_all),
        ("the session's cookie alone is no credential of the API", run.foreign),
    ]:
        # Each step stands on those before it, so that the first one that fails is the last one tried.
        kept = False
        with told.promise(what):
            does()
            kept = True
        if not kept:
            break
    report.end()


main()
