"""Notices by mail, through `countersign serve` and a real SMTP server (aiosmtpd) with STARTTLS and a password: whole, once, also after the
server was away. One line a promise; non-zero if one is not kept."""
import email
import email.policy
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import atexit

import aiosmtpd
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

import planes
import report

PATIENCE = 150
told = report.Report(f"aiosmtpd {aiosmtpd.__version__}")


class Shelf:
    """Keeps what arrives."""

    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters.append((envelope.rcpt_tos, bool(session.ssl), session.authenticated, letter))
        return "250 kept"

    def about(self, text):
        return [kept for kept in self.letters if text in kept[3].get_content()]


def server(shelf, port, directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory + "/mail.pem", directory + "/mail.key")

    def login(_server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"countersign", b"not a good one"))

    return Controller(shelf, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, auth_required=True,
                      authenticator=login)


def openssl(directory, *words):
    subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)


class Serve:
    """`countersign serve` with a settings file, started and stopped."""

    def __init__(self, directory, mail_port):
        self.binary = os.environ.get("COUNTERSIGN_BINARY", os.path.join(planes.ROOT, "target", "debug", "countersign"))
        self.directory = directory
        control, gateway, metrics = planes.free_ports(3)
        self.control, self.metrics = control, metrics
        with open(directory + "/settings.toml", "w") as f:
            f.write(f'storage = "sqlite:{directory}/data"\n[control]\nlisten = "127.0.0.1:{control}"\n[gateway]\nlisten = "127.0.0.1:{gateway}"\nlocal_upstreams = "true"\n'
                    f'[metrics]\nlisten = "127.0.0.1:{metrics}"\n[mail]\nhost = "localhost"\nport = {mail_port}\ntls = "starttls"\n'
                    f'username = "countersign"\npassword_file = "{directory}/password"\nfrom = "Countersign <countersign@example.com>"\n'
                    f'ca_cert = "{directory}/mail.pem"\n')

    def start(self):
        self.child = subprocess.Popen([self.binary, "serve", "--config", self.directory + "/settings.toml"], stdout=subprocess.PIPE, text=True)
        planes._children.append(self.child)
        if "Countersign serves" not in self.child.stdout.readline():
            raise SystemExit("countersign serve does not start")
        with open(self.directory + "/data/first-owner.env") as f:
            self.key = f.read().strip().split("=", 1)[1]

    def stop(self):
        self.child.terminate()
        self.child.wait(60)

    def cli(self, *words):
        env = {"PATH": os.environ["PATH"], "HOME": self.directory, "COUNTERSIGN_SERVER": f"localhost:{self.control}",
               "COUNTERSIGN_CA_CERT": self.directory + "/data/ca.pem", "COUNTERSIGN_API_KEY": self.key}
        return subprocess.run([self.binary, "--auto-confirm", *words], env=env, capture_output=True, text=True, cwd=self.directory)


def eventually(so):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = so()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {PATIENCE} s")


def delivery(serve):
    """How the mail about the CA stands, as the inbox shows it."""
    listed = json.loads(serve.cli("notice", "list").stdout or "{}")
    items = listed["items"] if isinstance(listed, dict) else listed
    for notice in items:
        if notice["kind"] == "accepted_client_ca":
            for way in notice["deliveries"]:
                if way["channel"] == "mail:ops@example.com":
                    return way
    return None


def main():
    directory = tempfile.mkdtemp(prefix="countersign-mail-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    with open(directory + "/password", "w") as f:
        f.write("not a good one\n")
    openssl(directory, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "mail.key", "-out", "mail.pem")
    # A year old, with twelve days to go: two notices are behind it, the one of 14 days is due.
    with open(directory + "/ca.cnf", "w") as f:
        f.write("[ca]\ndefault_ca=one\n[one]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\nx509_extensions=v3\n"
                "[any]\ncommonName=supplied\n[v3]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n")
    open(directory + "/index.txt", "w").close()
    with open(directory + "/serial", "w") as f:
        f.write("10\n")
    day = lambda seconds: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
    openssl(directory, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Partner CA", "-keyout", "ca.key", "-out", "ca.csr")
    openssl(directory, "ca", "-config", "ca.cnf", "-batch", "-notext", "-selfsign", "-in", "ca.csr", "-keyfile", "ca.key", "-out", "ca.pem",
            "-startdate", day(-350 * 86400), "-enddate", day(12 * 86400))
    port = planes.free_ports(1)[0]
    serve = Serve(directory, port)
    serve.start()
    shelf = Shelf()
    first = server(shelf, port, directory)
    with told.promise("a mail on trial goes out by STARTTLS and with the password, and the answer is told"):
        refused = serve.cli("notice", "test-mail", "--to", "ops@example.com")
        report.need(refused.returncode == 1 and "did not take it" in refused.stderr, refused.stderr)
        first.start()
        sent = serve.cli("notice", "test-mail", "--to", "ops@example.com")
        report.need(sent.returncode == 0, sent.stderr)
        (to, encrypted, _, letter), = shelf.letters
        report.need(to == ["ops@example.com"] and encrypted and letter["Subject"] == "Countersign: mail works", letter.as_string())
        first.stop()
        shelf.letters.clear()
    made = [serve.cli("namespace", "create", "--namespace", "shop", "--upstream", "http://127.0.0.1:9", "--auth-method", "mtls",
                      "--ca-certificate-file", "ca.pem"), serve.cli("notice", "settings", "set", "--recipient", "ops@example.com")]
    report.need(all(one.returncode == 0 for one in made), [one.stderr for one in made])
    # The start looks for what ends soon; the mail server is away.
    serve.stop()
    serve.start()
    with told.promise("with the mail server away the notice stands in the inbox, and why it was not mailed"):
        way = eventually(lambda: (way := delivery(serve)) and way["attempts"] >= 1 and way)
        report.need(way["sentTime"] is None and way["failure"], way)
    with told.promise("when it is back the mail arrives: what ends, when, whose clients, and the command that mends it"):
        second = server(shelf, port, directory)
        second.start()
        kept = eventually(lambda: shelf.about("Partner CA"))
        letter = kept[0][3]
        text = letter.get_content()
        report.need(letter.get_content_type() == "text/plain" and letter["Auto-Submitted"] == "auto-generated", letter.as_string())
        ends = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 12 * 86400))
        for part in ["Accepted client CA", f"ends at {ends}", "Namespace:   shop.", "Every client whose certificate this CA signed is refused",
                     "countersign namespace accepted-client-ca add --namespace shop."]:
            report.need(part in text, f"{part} is not in {text}")
    with told.promise("it is sent once, after a restart too"):
        eventually(lambda: (way := delivery(serve)) and way["sentTime"])
        serve.stop()
        serve.start()
        # Longer than the first look for what ends and the first round of deliveries take.
        time.sleep(12)
        mine = [kept for kept in shelf.about("Partner CA") if kept[0] == ["ops@example.com"]]
        report.need(len(mine) == 1, [kept[3]["Message-ID"] for kept in mine])
        ids = [kept[3]["Message-ID"] for kept in shelf.letters]
        report.need(len(ids) == len(set(ids)), ids)
    with told.promise("the earliest end is a metric"):
        metrics = subprocess.run(["curl", "-s", f"http://127.0.0.1:{serve.metrics}/metrics"], capture_output=True, text=True).stdout
        report.need('countersign_earliest_end_seconds{kind="accepted_client_ca"}' in metrics, metrics[-600:])
    second.stop()
    serve.stop()
    report.end()


main()
