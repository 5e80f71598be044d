"""Clients with a TLS session cache that get another certificate while they run: Java's HttpClient, Go's net/http and openssl s_client. Their
old session is offered on every reconnect; none of their requests may be refused for the certificate that they had before. A client that is
not on this machine is a promise not kept: ./test installs them (Debian: default-jdk-headless, golang-go, openssl)."""
import os
import shutil
import subprocess

import planes
from report import Report, end, need

PARTS = os.path.join(planes.HERE, "resumption")


class Door:
    """A Countersign whose demo namespace takes leaves of one CA."""

    def __init__(self):
        self.sign = sign = planes.Countersign()
        self.host = sign.env["COUNTERSIGN_GATEWAY_HOST"]
        self.url = f"https://{self.host}:{sign.port}/x"
        sign.cli("generate-certificates", "ca", "--organization", "clients", "--validity-period", "30d", "--ca-certificate-file", "ca.pem",
                 "--ca-key-file", "ca.key")
        sign.cli("namespace", "accepted-client-ca", "add", "--ca-certificate-file", "ca.pem")
        self.count = 0

    def leaf(self):
        """The name of a new leaf: its files end in .pem, .key and .p12."""
        self.count += 1
        name = f"leaf{self.count}"
        self.sign.cli("generate-certificates", "leaf", "--organization", "clients", "--common-name", name, "--ca-certificate-file", "ca.pem",
                      "--ca-key-file", "ca.key", "--certificate-file", f"{name}.pem", "--key-file", f"{name}.key")
        self.sign.run("openssl", "pkcs12", "-export", "-in", f"{name}.pem", "-inkey", f"{name}.key", "-name", "shown", "-passout",
                      "pass:changeit", "-out", f"{name}.p12")
        return name

    def revoke(self, name):
        self.sign.cli("namespace", "accepted-client-ca", "revoke-leaf", "--certificate", f"{name}.pem")


class Talker:
    """A client that does what it reads, and answers each line with one."""

    def __init__(self, door, command):
        self.child = subprocess.Popen(command, cwd=door.sign.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        planes._children.append(self.child)

    def __call__(self, *words):
        self.child.stdin.write(" ".join(map(str, words)) + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().split()
        need(answer, "the client ended")
        return answer

    def end(self):
        self.child.stdin.close()
        self.child.wait(30)


def rotate(told, door, client, show):
    """The same with every client that keeps sessions."""
    good = ["200"] * 5
    plain = lambda answer: [status.rstrip("r") for status in answer]
    with told.promise("without a certificate at first, let in with its first one though the old session is offered"):
        need(set(plain(client("ask", 2))) == {"401"})
        first = door.leaf()
        show(first)
        need((seen := plain(client("ask", 5))) == good, seen)
    with told.promise("rotated while connected: none refused, neither on kept nor on new connections"):
        need((seen := plain(client("keep", 5))) == good, seen)
        for _ in range(3):
            second = door.leaf()
            show(second)
            need((seen := plain(client("ask", 5))) == good, seen)
            door.revoke(first)
            for way in ("ask", "keep"):
                need((seen := plain(client(way, 5))) == good, (way, seen))
            first = second
    with told.promise("refused when its own certificate is revoked"):
        door.revoke(first)
        need((seen := plain(client("ask", 2))) == ["403", "403"], seen)


def java():
    program = shutil.which("java")
    told = Report("Java HttpClient")
    if not program:
        with told.promise("there is a JDK"):
            raise SystemExit("no java; sudo apt-get install default-jdk-headless")
        return
    version = subprocess.run([program, "-version"], capture_output=True, text=True).stderr.splitlines()[0]
    told = Report(f"HttpClient of {version}")
    for tls in ("1.3", "1.2"):
        door = Door()
        with open(door.sign.path("hosts"), "w") as f:
            f.write(f"127.0.0.1 {door.host}\n")
        talker = Talker(door, [program, "-Djdk.net.hosts.file=hosts", f"-Djdk.tls.client.protocols=TLSv{tls}", os.path.join(PARTS, "Client.java"),
                               door.url, door.sign.ca_file])
        rotate(told, door, talker, lambda name: talker("show", f"{name}.p12"))
        talker.end()


def go():
    program = shutil.which("go") or planes.tool("go")
    told = Report("Go net/http")
    if not program:
        with told.promise("there is a Go"):
            raise SystemExit("no go; sudo apt-get install golang-go")
        return
    version = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True).stdout.strip()
    for tls in ("1.3", "1.2"):
        told = Report(f"net/http of {version}, TLS {tls}")
        door = Door()
        built = door.sign.path("client")
        subprocess.run([program, "build", "-o", built, os.path.join(PARTS, "client.go")], check=True, cwd=door.sign.directory,
                       env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"})
        talker = Talker(door, [built, door.url, door.sign.ca_file, f"127.0.0.1:{door.sign.port}", tls])
        show = lambda name: talker("show", f"{name}.pem", f"{name}.key")
        rotate(told, door, talker, show)
        with told.promise("a good certificate's session is resumed, and half the handshakes are cheap"):
            show(door.leaf())
            seen = talker("ask", 5)
            need(seen[0] == "200" and seen[1:] == ["200r"] * 4, seen)
        talker.end()


def openssl():
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.strip()
    told = Report(f"{version} s_client")
    for tls in ("-tls1_3", "-tls1_2"):
        door = Door()

        def ask(name, *session):
            certificate = ["-cert", f"{name}.pem", "-key", f"{name}.key"] if name else []
            done = subprocess.run(
                ["openssl", "s_client", "-ign_eof", "-connect", f"127.0.0.1:{door.sign.port}", "-servername", door.host, "-CAfile",
                 door.sign.ca_file, tls, *certificate, *session], cwd=door.sign.directory, capture_output=True, text=True, timeout=60,
                input=f"GET /x HTTP/1.1\r\nHost: {door.host}\r\nConnection: close\r\n\r\n")
            status = done.stdout.split("HTTP/1.1 ", 1)[-1][:3]
            return status, "Reused, " in done.stdout

        with told.promise(f"{tls}: a session without a certificate is not resumed, and the first certificate lets in"):
            need((seen := ask(None, "-sess_out", "none.session")) == ("401", False), seen)
            first = door.leaf()
            offered = ["-sess_in", "none.session"] if os.path.exists(door.sign.path("none.session")) else []
            need((seen := ask(first, *offered, "-sess_out", "one.session")) == ("200", False), seen)
        with told.promise(f"{tls}: a good session is resumed, a revoked one gives way to the new certificate"):
            need((seen := ask(first, "-sess_in", "one.session", "-sess_out", "two.session")) == ("200", True), seen)
            second = door.leaf()
            door.revoke(first)
            need((seen := ask(second, "-sess_in", "two.session")) == ("200", False), seen)
            need((seen := ask(first)) == ("403", False), seen)


if __name__ == "__main__":
    openssl()
    go()
    java()
    end()
