"""A million certificates: BINARY DIRECTORY [COUNT]. Fills a data directory by SQL (an issuance each would take the better part of an hour),
then starts `countersign serve` on it: once with all of them active, once with all but one revoked, where it then revokes the last one and
fetches the CRL. Prints each time beside its bound, and as a share of it."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request

binary, directory = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
count = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
only_fill = os.environ.get("ONLY_FILL") == "1"
filled = directory + "/filled"
# A filled directory is used again, where an earlier run left it whole.
if not (os.path.exists(filled) and open(filled).read() == str(count)):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)


class Serve:
    def __init__(self):
        env = dict(os.environ, COUNTERSIGN_STORAGE=f"sqlite:{directory}/data", COUNTERSIGN_GATEWAY_LISTEN="127.0.0.1:0",
                   COUNTERSIGN_CONTROL_LISTEN="127.0.0.1:18443", COUNTERSIGN_METRICS_LISTEN="127.0.0.1:0", COUNTERSIGN_GATEWAY_WORKERS="1",
                   COUNTERSIGN_PKI_LISTEN="127.0.0.1:18480", COUNTERSIGN_PKI_URL="http://127.0.0.1:18480", COUNTERSIGN_LOG_FILTER="warn")
        begun = time.perf_counter()
        self.child = subprocess.Popen([binary, "serve"], env=env, stdout=subprocess.PIPE, text=True)
        line = self.child.stdout.readline()
        self.took = time.perf_counter() - begun
        if "Countersign serves" not in line:
            raise SystemExit("countersign serve does not start")
        with open(directory + "/data/first-owner.env") as f:
            self.key = f.read().strip().split("=", 1)[1]

    def cli(self, *args):
        env = {"PATH": os.environ["PATH"], "HOME": directory, "COUNTERSIGN_SERVER": "localhost:18443", "COUNTERSIGN_CA_CERT": directory + "/data/ca.pem",
               "COUNTERSIGN_API_KEY": self.key}
        done = subprocess.run([binary, "--auto-confirm", "-o", "json", *args], env=env, capture_output=True, text=True, cwd=directory)
        if done.returncode:
            raise SystemExit(f"countersign {' '.join(args)}: {done.stderr}")
        return json.loads(done.stdout)

    def memory(self):
        with open(f"/proc/{self.child.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) // 1024

    def stop(self):
        self.child.terminate()
        self.child.wait(60)


def told(what, seconds, bound):
    print(f"{what}: {seconds:.2f} s, {100 * seconds / bound:.0f} % of the bound of {bound} s", flush=True)


def find_database():
    return directory + "/data/" + next(f for f in os.listdir(directory + "/data") if f.endswith((".db", ".sqlite", ".sqlite3")))


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
    print(f"start of an empty one: {serve.took:.2f} s")
    made = serve.cli("certificate", "create", "--generate-key", "--alias", "first", "--out", directory)
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


if not os.path.exists(filled):
    fill()
if only_fill:
    sys.exit()

for _ in range(2):
    serve = Serve()
    told(f"start with {count} certificates ({serve.memory()} MiB)", serve.took, 5)
    serve.stop()

os.remove(filled)
database = sqlite3.connect(find_database())
columns = [row[1] for row in database.execute("PRAGMA table_info(certificate)")]
row = dict(zip(columns, database.execute("SELECT * FROM certificate WHERE alias = 'first'").fetchone()))
with database:
    database.execute("UPDATE certificate SET status = 'revoked', reason = 'superseded', revoked_at = ? WHERE id <> ?", (row["created_at"], row["id"]))
database.close()
serve = Serve()
told(f"start with {count} revoked", serve.took, 5)
issuer = next(one for one in serve.cli("issuer", "list")["items"] if one["id"] == row["issuer_id"])
url = f"http://127.0.0.1:18480/pki/{issuer['name']}.crl"
begun = time.perf_counter()
crl = urllib.request.urlopen(url, timeout=120).read()
told(f"first CRL, {len(crl) >> 20} MiB", time.perf_counter() - begun, 2)
begun = time.perf_counter()
urllib.request.urlopen(url, timeout=120).read()
print(f"the same again: {time.perf_counter() - begun:.2f} s")
begun = time.perf_counter()
serve.cli("certificate", "revoke", "--id", row["id"], "--reason", "superseded")
told(f"revocation at {count} revoked, the client's start included", time.perf_counter() - begun, 1)
wanted = bytes.fromhex(row["serial"])
begun = time.perf_counter()
while wanted not in urllib.request.urlopen(url, timeout=120).read():
    if time.perf_counter() - begun > 60:
        raise SystemExit("the new CRL does not come")
told("from then to a CRL that has it", time.perf_counter() - begun, 2)
serve.stop()
