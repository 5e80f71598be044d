"""What Countersign issues, held against linters and readers that others wrote: pkilint, OpenSSL's strict check, Go, Java, GnuTLS, NSS.
Usage: lint.py [COUNT], 200 without; one line a promise; non-zero if one is not kept."""
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from pkilint import loader, validation
from pkilint.pkix import certificate as pkix, extension, name as pkix_name

import planes
import report

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 200
GO = """package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func read(path string) []*x509.Certificate {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	var found []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			panic(err)
		}
		found = append(found, one)
	}
	return found
}

func main() {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for _, one := range read(os.Args[1]) {
		if one.CheckSignatureFrom(one) == nil {
			roots.AddCert(one)
		} else {
			middle.AddCert(one)
		}
	}
	count := 0
	for _, one := range read(os.Args[2]) {
		options := x509.VerifyOptions{Roots: roots, Intermediates: middle, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if _, err := one.Verify(options); err != nil {
			panic(fmt.Sprint(one.Subject, ": ", err))
		}
		count++
	}
	fmt.Println(count)
}
"""


def keys():
    """Kinds of keys in turn: mostly the usual one, since RSA takes its time."""
    shared = 0
    while True:
        for kind in ("p256", "p384", "ed25519", "p256", "p256", "rsa" if shared % 20 == 0 else "p256"):
            if kind == "rsa":
                yield kind, rsa.generate_private_key(65537, 2048)
            elif kind == "ed25519":
                yield kind, ed25519.Ed25519PrivateKey.generate()
            else:
                yield kind, ec.generate_private_key(ec.SECP256R1() if kind == "p256" else ec.SECP384R1())
        shared += 1


def requests():
    """Requests of every shape that the profile takes."""
    for i, (kind, key) in enumerate(keys()):
        names = [x509.NameAttribute(NameOID.COMMON_NAME, f"lint-{i}")]
        if i % 2:
            names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Prüfstand & Söhne" if i % 4 == 1 else "Acme"))
        if i % 3 == 0:
            names.insert(0, x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"))
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        if i % 5 == 0:
            entries = [x509.DNSName(f"lint-{i}.example.com"), x509.UniformResourceIdentifier(f"{'https' if i % 10 else 'spiffe'}://example.com/lint/{i}")]
            builder = builder.add_extension(x509.SubjectAlternativeName(entries), critical=False)
        signed = builder.sign(key, None if kind == "ed25519" else hashes.SHA256())
        yield kind, signed.public_bytes(serialization.Encoding.PEM).decode()


class Rest:
    def __init__(self, sign):
        host, port = sign.control.rsplit(":", 1)
        context = ssl.create_default_context(cafile=sign.ca_file)
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
        self.headers = {"Authorization": f"Bearer {sign.key}", "Content-Type": "application/json"}

    def post(self, path, body):
        self.connection.request("POST", "/api/v1" + path, json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        report.need(answer.status < 300, f"{path}: {answer.status} {text[:400]}")
        return json.loads(text)


def linter():
    return pkix.create_pkix_certificate_validator_container(
        pkix.create_decoding_validators(pkix_name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [pkix.create_issuer_validator_container([]), pkix.create_validity_validator_container(), pkix.create_subject_validator_container([]),
         pkix.create_extensions_validator_container([]), pkix.create_spki_validator_container([])])


def findings(container, pem):
    """Codes of findings of WARNING or above. pkilint holds every URI against a pattern of web addresses, which no SPIFFE id fits, although
    RFC 3986 takes it; that finding about such an id is left out and nothing else is."""
    document = loader.RFC5280CertificateDocumentLoader().load_pem_document(pem, "issued")
    return [f"{one.finding.code} ({one.finding.severity.name}) {one.message or ''}"
            for result in container.validate(document.root) for one in result.finding_descriptions
            if one.finding.severity <= validation.ValidationFindingSeverity.WARNING
            and not (one.finding.code == "pkix.invalid_uri_syntax" and '"spiffe://' in (one.message or ""))]


def main():
    sign = planes.Countersign()
    rest = Rest(sign)
    told = report.Report("pkilint")
    issued, seen, chain = [], {}, {}
    environments = [None, "sandbox", "production"]
    with report.Report("REST").promise(f"{COUNT} certificates of every kind of key and request"):
        begun = time.monotonic()
        for i, (kind, csr) in zip(range(COUNT), requests()):
            # An owner may have a thousand; a third of these are each owner's.
            block, first = divmod(i, 1500)
            if first == 0:
                sign.cli("application", "create", "--name", f"lint-{block}")
                account = rest.post("/service-accounts", {"name": f"lint-{block}", "access": {"accountRole": "read"}})["id"]
            if environment := environments[i // 6 % 3]:
                body = {"csr": csr, "application": f"lint-{block}", "environment": environment}
            else:
                # A person's own ones look as a service account's do.
                body = {"csr": csr} if block == 0 else {"csr": csr, "serviceAccountId": account}
            made = rest.post("/certificates", body)
            issued.append(made["certificate"].strip() + "\n")
            seen.setdefault((kind, environment), issued[-1])
            for one in x509.load_pem_x509_certificates(made["chain"].encode()):
                chain[one.subject.rfc4514_string()] = one
        print(f"      {COUNT / (time.monotonic() - begun):.0f} a second, one after the other", flush=True)
    for issuer in sign.cli("issuer", "list")["items"]:
        one = x509.load_pem_x509_certificate(issuer["certificatePem"].encode())
        chain[one.subject.rfc4514_string()] = one
    pem = lambda one: one.public_bytes(serialization.Encoding.PEM).decode()
    roots = [one for one in chain.values() if one.subject == one.issuer]
    middle = [one for one in chain.values() if one.subject != one.issuer]
    files = {"roots.pem": roots, "middle.pem": middle, "cas.pem": roots + middle}
    for file, ones in files.items():
        with open(sign.path(file), "w") as f:
            f.write("".join(map(pem, ones)))
    with open(sign.path("issued.pem"), "w") as f:
        f.write("".join(issued))
    container = linter()
    with told.promise(f"{len(issued)} leaves and {len(chain)} CAs without a finding of WARNING or above"):
        found = {}
        for text in issued + list(map(pem, chain.values())):
            for one in findings(container, text):
                found[one] = found.get(one, 0) + 1
        report.need(not found, found)
    version = sign.run("openssl", "version").stdout.split()[1]
    with report.Report(f"openssl {version}").promise(f"{len(issued)} of {len(issued)} pass the strict check for clients"):
        names = []
        for i, text in enumerate(issued):
            names.append(f"leaf-{i}.pem")
            with open(sign.path(names[-1]), "w") as f:
                f.write(text)
        passed = 0
        for i in range(0, len(names), 500):
            said = sign.run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "roots.pem", "-untrusted", "middle.pem", *names[i:i + 500])
            passed += said.stdout.count(": OK")
        report.need(passed == len(issued), passed)
    if go := shutil.which("go") or planes.tool("go"):
        told = report.Report(sign.run(go, "version").stdout.split()[2])
        with told.promise(f"reads and verifies all {len(issued)}"):
            with open(sign.path("lint.go"), "w") as f:
                f.write(GO)
            said = sign.run(go, "run", "lint.go", "cas.pem", "issued.pem", env={"GOCACHE": os.path.join(planes.HERE, "work", "go", "cache"), "GO111MODULE": "off"}, timeout=400)
            report.need(said.stdout.strip() == str(len(issued)), said.stdout)
    else:
        report.Report("go").skipped("reading what was issued", "no go")
    one_each = [(f"{kind}-{environment}", text) for (kind, environment), text in seen.items()]
    for label, text in one_each:
        with open(sign.path(f"{label}.pem"), "w") as f:
            f.write(text)
    reader("keytool", sign, one_each, lambda label: ["keytool", "-printcert", "-file", f"{label}.pem"], "clientAuth")
    reader("certtool", sign, one_each, lambda label: ["certtool", "--verify", "--verify-purpose=1.3.6.1.5.5.7.3.2", "--load-ca-certificate", "cas.pem", "--infile", f"{label}.pem"], "Chain verification output: Verified")
    known = one_each
    if shutil.which("certutil"):
        os.makedirs(sign.path("nss"), exist_ok=True)
        base = ["-d", f"sql:{sign.directory}/nss"]
        sign.run("certutil", "-N", *base, "--empty-password")
        for i, one in enumerate(roots + middle):
            with open(sign.path("one.pem"), "w") as f:
                f.write(pem(one))
            sign.run("certutil", "-A", *base, "-n", f"ca{i}", "-t", "CT,C,C", "-i", "one.pem")
        taken = lambda label: sign.run("certutil", "-A", *base, "-n", label, "-t", ",,", "-i", f"{label}.pem", check=False).returncode == 0
        known = [(label, text) for label, text in one_each if taken(label) or not label.startswith("ed25519")]
        if len(known) < len(one_each):
            report.Report("NSS certutil").skipped("certificates with Ed25519 keys", "this NSS is older than 3.99 and knows no such keys")
    reader("certutil", sign, known, lambda label: ["certutil", "-V", "-d", f"sql:{sign.directory}/nss", "-n", label, "-u", "C"], "certificate is valid")
    report.end()


def reader(program, sign, one_each, command, wanted):
    """One certificate of each kind, read by one more program."""
    told = report.Report({"keytool": "Java keytool", "certtool": "GnuTLS certtool", "certutil": "NSS certutil"}[program])
    if not shutil.which(program):
        told.skipped("reading what was issued", f"no {program}")
        return
    with told.promise(f"reads one of each of {len(one_each)} kinds"):
        for label, _ in one_each:
            said = sign.run(*command(label), check=False)
            report.need(said.returncode == 0 and wanted in said.stdout + said.stderr, f"{label}: {(said.stdout + said.stderr)[-400:]}")


main()
