"""A million certificates: BINARY DIRECTORY [COUNT]. Fills a data directory by SQL (an issuance each would take the better part of an hour),
then starts `countersign serve` on it with all of them active, and again with all of them revoked; there it fetches the CRL, revokes, and has
OpenSSL read what is published. Prints each time beside its bound; CPU is what the server itself used, so that noise can be told from work."""
import atexit
import http.client
import json
import os
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

binary, directory = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
count = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
filled = directory + "/filled"
CONTROL, PKI = 18443, "http://127.0.0.1:18480/pki"
IN_A_ROW = 100
# A filled directory is used again, where an earlier run left it whole.
if not (os.path.exists(filled) and open(filled).read() == str(count)):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
missed = []


class Serve:
    def __init__(self):
        env = dict(os.environ, COUNTERSIGN_STORAGE=f"sqlite:{directory}/data", COUNTERSIGN_GATEWAY_LISTEN="127.0.0.1:0",
                   COUNTERSIGN_CONTROL_LISTEN=f"127.0.0.1:{CONTROL}", COUNTERSIGN_METRICS_LISTEN="127.0.0.1:0",
                   COUNTERSIGN_GATEWAY_WORKERS="1", COUNTERSIGN_PKI_LISTEN="127.0.0.1:18480", COUNTERSIGN_PKI_URL="http://127.0.0.1:18480",
                   COUNTERSIGN_LOG_FILTER="warn",
                   COUNTERSIGN_LIMITS_CERTIFICATES_PER_OWNER="0")
        begun = time.perf_counter()
        self.child = subprocess.Popen([binary, "serve"], env=env, stdout=subprocess.PIPE, text=True)
        atexit.register(self.child.kill)
        line = self.child.stdout.readline()
        self.took, self.start_cpu = time.perf_counter() - begun, self.cpu()
        if "Countersign serves" not in line:
            raise SystemExit("countersign serve does not start")
        self.metrics_url = re.search(r"metrics (\S+)", line).group(1)
        with open(directory + "/data/first-owner.env") as f:
            self.key = f.read().strip().split("=", 1)[1]

    def cpu(self):
        """Seconds of CPU that the process used so far."""
        with open(f"/proc/{self.child.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, which="VmRSS"):
        with open(f"/proc/{self.child.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(which)) // 1024

    def cli(self, *args):
        env = {"PATH": os.environ["PATH"], "HOME": directory, "COUNTERSIGN_SERVER": f"localhost:{CONTROL}",
               "COUNTERSIGN_CA_CERT": directory + "/data/ca.pem", "COUNTERSIGN_API_KEY": self.key}
        done = subprocess.run([binary, "--auto-confirm", "-o", "json", *args], env=env, capture_output=True, text=True, cwd=directory)
        if done.returncode:
            raise SystemExit(f"countersign {' '.join(args)}: {done.stderr}")
        return json.loads(done.stdout)

    def api(self):
        """A connection that stays, for what is timed without the client's start."""
        context = ssl.create_default_context(cafile=directory + "/data/ca.pem")
        return http.client.HTTPSConnection("localhost", CONTROL, context=context, timeout=60)

    def revoke(self, api, id):
        begun = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        api.request("POST", f"/api/v1/certificates/{id}/revoke", json.dumps({"reason": "superseded"}), headers)
        answer = api.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"revoke: {answer.status} {text[:300]}")
        return time.perf_counter() - begun, json.loads(text)

    def stop(self):
        self.child.terminate()
        self.child.wait(60)


def told(what, seconds, bound, cpu=None):
    by = "" if cpu is None else f", CPU {cpu:.2f} s"
    print(f"{what}: {seconds:.2f} s{by}; {100 * seconds / bound:.0f} % of the bound of {bound} s", flush=True)
    if seconds > bound:
        missed.append(what)


def must(so, what):
    print(f"{'yes' if so else 'NO'}: {what}", flush=True)
    if not so:
        missed.append(what)


def find_database():
    return directory + "/data/" + next(f for f in os.listdir(directory + "/data") if f.endswith(".db"))


ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def name(i):
    """An id that is good by its shape."""
    text = ""
    for _ in range(19):
        text, i = ALPHABET[i & 31] + text, i >> 5
    return "c" + text


def fill():
    """One certificate that is issued, and then the same over and over under other names."""
    serve = Serve()
    print(f"start of an empty one: {serve.took:.2f} s, CPU {serve.start_cpu:.2f} s")
    serve.cli("certificate", "create", "--generate-key", "--alias", "first", "--out", directory)
    serve.stop()
    database = sqlite3.connect(find_database())
    columns = [row[1] for row in database.execute("PRAGMA table_info(certificate)")]
    row = dict(zip(columns, database.execute("SELECT * FROM certificate WHERE alias = 'first'").fetchone()))

    def more():
        for i in range(count):
            random = os.urandom(96)
            one = dict(row, id=name(i), fingerprint=random[:32], key_digest=random[32:64], name_digest=random[64:], alias=f"c{i}",
                       serial="4" + random[:16].hex()[1:])
            yield [one[column] for column in columns]

    begun = time.perf_counter()
    database.execute("PRAGMA synchronous = OFF")
    with database:
        database.executemany(f"INSERT INTO certificate ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", more())
    database.close()
    print(f"{count} certificates put in: {time.perf_counter() - begun:.0f} s, {os.path.getsize(find_database()) >> 20} MiB", flush=True)
    with open(filled, "w") as f:
        f.write(str(count))


def turn(status, reason, revoked_at, kept=0):
    """Changes all that were filled in and are not so already, but for the first few."""
    database = sqlite3.connect(find_database())
    database.execute("PRAGMA synchronous = OFF")
    with database:
        database.execute("UPDATE certificate SET status = ?1, reason = ?2, revoked_at = ?3 WHERE id >= ?4 AND id <= ?5 AND status <> ?1",
                         (status, reason, revoked_at, name(kept), name(count - 1)))
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def openssl(*words):
    begun = time.perf_counter()
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, cwd=directory)
    return done.returncode == 0, done.stdout + done.stderr, time.perf_counter() - begun


def read(url):
    """The body, the number, and how long it took."""
    begun = time.perf_counter()
    answer = urllib.request.urlopen(url, timeout=120)
    body = answer.read()
    return body, int((answer.headers.get("ETag") or '"0"').strip('"')), time.perf_counter() - begun


def ocsp(expected, *which):
    so, said, took = openssl("ocsp", "-issuer", "issuer.pem", "-CAfile", "chain.pem", "-url", PKI + "/ocsp", *which)
    status = "revoked" if ": revoked" in said else "good" if ": good" in said else said
    must(so and status == expected and "verify OK" in said, f"openssl ocsp says {expected} ({1000 * took:.0f} ms, its start included)")


if not os.path.exists(filled):
    fill()

# An older version's directory is brought up to date by its first start, which is not what is timed.
Serve().stop()
turn("active", None, None)
for last in (False, False, True):
    serve = Serve()
    told(f"start with {count} certificates ({serve.memory()} MiB, {serve.memory('VmHWM')} at most)", serve.took, 5, serve.start_cpu)
    if not last:
        serve.stop()
# Real ones, whose certificates OpenSSL can be shown; a later run makes its own.
stamp = int(time.time())
for one in ("good", "bad"):
    serve.cli("certificate", "create", "--generate-key", "--alias", f"{one}-{stamp}", "--out", directory)
serve.stop()
database = sqlite3.connect(find_database())
ids = {one: database.execute("SELECT id, issuer_id, serial FROM certificate WHERE alias = ?", (f"{one}-{stamp}",)).fetchone() for one in ("good", "bad")}
others = database.execute("SELECT serial FROM certificate WHERE id = ?", (name(count - 1),)).fetchone()[0]
database.close()
good, bad = f"good-{stamp}.pem", f"bad-{stamp}.pem"

begun = time.perf_counter()
turn("revoked", "superseded", stamp * 1_000_000, IN_A_ROW)
print(f"revoked by SQL, all but {IN_A_ROW}: {time.perf_counter() - begun:.0f} s", flush=True)
serve = Serve()
told(f"start with {count - IN_A_ROW} revoked ({serve.memory()} MiB, {serve.memory('VmHWM')} at most)", serve.took, 5, serve.start_cpu)
issuer = next(one for one in serve.cli("issuer", "list")["items"] if one["id"] == ids["good"][1])["name"]
url = f"{PKI}/{issuer}.crl"


def fetch(what):
    """The list as a file in PEM, read and verified by OpenSSL."""
    body, number, took = read(url)
    with open(f"{directory}/{what}.crl", "wb") as f:
        f.write(body)
    so, said, verified = openssl("crl", "-inform", "DER", "-in", f"{what}.crl", "-out", f"{what}.crl.pem", "-verify", "-CAfile", "chain.pem")
    must(so and "verify OK" in said, f"openssl crl -verify of {len(body) >> 20} MiB ({verified:.1f} s)")
    return number


for file, end in (("issuer.pem", "pem"), ("chain.pem", "pem")):
    body = read(f"{PKI}/{issuer}.{end}")[0].decode()
    first = body.index("-----END CERTIFICATE-----") + 26
    with open(f"{directory}/{file}", "w") as f:
        f.write(body[:first] if file == "issuer.pem" else body)
root = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", open(directory + "/chain.pem").read(), re.S)[-1]
with open(directory + "/root.pem", "w") as f:
    f.write(root)


def verify(certificate, list_file, revoked):
    so, said, took = openssl("verify", "-crl_check", "-CRLfile", list_file, "-CAfile", "root.pem", "-untrusted", "issuer.pem", certificate)
    must((not so and "certificate revoked" in said) if revoked else so, f"openssl verify -crl_check: {certificate.split('-')[0]} is "
         f"{'revoked' if revoked else 'good'} ({took:.1f} s)")


# The check of the file runs beside the service; it would be counted with the list.
begun, before = time.perf_counter(), serve.cpu()
while "\ncountersign_database_checked 1\n" not in urllib.request.urlopen(serve.metrics_url).read().decode():
    time.sleep(0.1)
print(f"the file was checked beside it: {time.perf_counter() - begun:.1f} s more, CPU {serve.cpu() - before:.1f} s", flush=True)
before = serve.cpu()
body, number, took = read(url)
told(f"first CRL, {len(body) >> 20} MiB ({serve.memory('VmHWM')} MiB at most)", took, 2, serve.cpu() - before)
print(f"the same again: {read(url)[2]:.2f} s")
fetch("before")
verify(good, "before.crl.pem", False)
verify(bad, "before.crl.pem", False)
ocsp("good", "-cert", bad)
ocsp("revoked", "-serial", "0x" + others)

# The connection's own handshake is not what is asked.
api = serve.api()
api.connect()
before = serve.cpu()
took, answer = serve.revoke(api, ids["bad"][0])
revoked = time.perf_counter()
told(f"revocation at {count - IN_A_ROW} revoked", took, 1, serve.cpu() - before)
print(f"  {json.dumps(answer.get('requestStatus', answer))[:300]}")
ocsp("revoked", "-cert", bad)
ocsp("good", "-cert", good)
while read(url)[1] == number:
    time.sleep(0.05)
    if time.perf_counter() - revoked > 60:
        raise SystemExit("the new CRL does not come")
print(f"from the revocation to a CRL that has it: {time.perf_counter() - revoked:.2f} s")
number = fetch("after")
verify(bad, "after.crl.pem", True)
verify(good, "after.crl.pem", False)

# A reader that never rests, while one after the other is revoked: how many lists are made of that?
numbers, ended = {number}, threading.Event()


def watch():
    while not ended.is_set():
        numbers.add(int(urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60).headers["ETag"].strip('"')))
        time.sleep(0.02)


reader = threading.Thread(target=watch)
reader.start()
api.close()
api.connect()
before, begun = serve.cpu(), time.perf_counter()
times = sorted(serve.revoke(api, name(i))[0] for i in range(IN_A_ROW))
took = time.perf_counter() - begun
told(f"{IN_A_ROW} revocations in a row, the slowest", times[-1], 1, serve.cpu() - before)
print(f"  half of them within {1000 * times[len(times) // 2]:.0f} ms; {took:.1f} s in all")
last = bytes.fromhex(sqlite3.connect(find_database()).execute("SELECT serial FROM certificate WHERE id = ?", (name(IN_A_ROW - 1),)).fetchone()[0])
begun = time.perf_counter()
while last not in read(url)[0]:
    time.sleep(0.2)
    if time.perf_counter() - begun > 60:
        raise SystemExit("the last CRL does not come")
print(f"  from the last one to a CRL that has it: {time.perf_counter() - begun:.1f} s")
ended.set()
reader.join()
print(f"  CRLs made of them: {len(numbers) - 1}; {serve.memory()} MiB, {serve.memory('VmHWM')} at most")
serve.stop()
print("missed: " + "; ".join(missed) if missed else "all within their bounds")
sys.exit(bool(missed))
