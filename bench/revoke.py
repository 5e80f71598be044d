"""From a revoke's answer to the last success on a live connection: BINARY DIRECTORY [ROUNDS].

Eight kept-alive connections ask without pause with one key; the key is disabled over REST; the last success that *began* and ended is
compared with the moment the answer was read. Below zero means that nothing succeeded after the answer.
"""
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time

from plane import Plane

binary, directory = sys.argv[1:3]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 50
shutil.rmtree(directory, ignore_errors=True)
plane = Plane(binary, directory, workers=2)
upstream_program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "loadgen", "target", "release", "upstream")
upstream = subprocess.Popen([upstream_program, "127.0.0.1:20998"])
plane.cli("namespace", "create", "--namespace", "bench", "--upstream", "http://127.0.0.1:20998", "--auth-method", "api_key")
account = plane.cli("account", "get")["id"]
host = f"bench.{account}.localhost"
context = ssl.create_default_context(cafile=plane.ca)


class Named(http.client.HTTPSConnection):
    """A connection to the gateway's address under the namespace's name."""

    def connect(self):
        http.client.HTTPConnection.connect(self)
        self.sock = context.wrap_socket(self.sock, server_hostname=host)


def gateway():
    address, port = plane.gateway.rsplit(":", 1)
    return Named(address, int(port), timeout=10)


control = http.client.HTTPSConnection("localhost", int(plane.control.rsplit(":", 1)[1]), context=context)
owner = {"Authorization": f"Bearer {plane.key}", "Content-Type": "application/json"}


def rest(method, path, body=None):
    control.request(method, "/api/v1" + path, json.dumps(body) if body is not None else None, owner)
    answer = control.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path}: {answer.status} {text}")
    return json.loads(text)


made = rest("POST", "/api-keys", {"name": "bench"})
key, secret = made["id"], made["secretKey"]
late, applied = [], []
for _ in range(rounds):
    last, ready = [0.0] * 8, threading.Barrier(9)

    def ask(i):
        connection = gateway()
        headers = {"Host": host, "Authorization": f"Bearer {secret}"}
        first = True
        while True:
            try:
                connection.request("GET", "/", headers=headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                break
            if answer.status != 200:
                break
            last[i] = time.perf_counter()
            if first:
                first = False
                ready.wait()

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    ready.wait()
    status = rest("POST", f"/api-keys/{key}/disable")
    answered = time.perf_counter()
    for t in threads:
        t.join()
    late.append((max(last) - answered) * 1000)
    applied.append(status["requestStatus"]["receipt"]["gateways"][0]["milliseconds"])
    rest("POST", f"/api-keys/{key}/enable")
late.sort()
applied.sort()
at = lambda v, q: v[min(len(v) - 1, int(len(v) * q))]
print(f"revoke: {rounds} rounds, 8 busy connections: last success after the answer p50 {at(late, .5):+.2f} ms, p99 {at(late, .99):+.2f} ms, "
      f"worst {late[-1]:+.2f} ms (bound 100 ms); commit to confirmed p50 {at(applied, .5):.2f} ms, p99 {at(applied, .99):.2f} ms")
upstream.terminate()
plane.stop()
