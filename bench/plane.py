"""A `countersign serve` for the benchmarks, and its client."""
import json
import os
import subprocess


class Plane:
    def __init__(self, binary, directory, workers=1):
        self.binary = os.path.abspath(binary)
        self.directory = os.path.abspath(directory)
        os.makedirs(os.path.dirname(self.directory), exist_ok=True)
        env = dict(os.environ, COUNTERSIGN_STORAGE=f"sqlite:{self.directory}", COUNTERSIGN_GATEWAY_LISTEN="127.0.0.1:0",
                   COUNTERSIGN_CONTROL_LISTEN="127.0.0.1:0", COUNTERSIGN_METRICS_LISTEN="127.0.0.1:0", COUNTERSIGN_GATEWAY_WORKERS=str(workers), COUNTERSIGN_GATEWAY_LOCAL_UPSTREAMS="true")
        self.child = subprocess.Popen([self.binary, "serve"], env=env, stdout=subprocess.PIPE, text=True)
        line = self.child.stdout.readline()
        if "Countersign serves" not in line:
            raise SystemExit("countersign serve does not start")
        self.control = line.split("control plane ")[1].split(",")[0]
        self.gateway = line.split("gateway ")[1].split(",")[0]
        with open(self.directory + "/first-owner.env") as f:
            self.key = f.read().strip().split("=", 1)[1]
        self.ca = self.directory + "/ca.pem"

    def cli(self, *args):
        env = {"PATH": os.environ["PATH"], "COUNTERSIGN_SERVER": "localhost:" + self.control.rsplit(":", 1)[1],
               "COUNTERSIGN_CA_CERT": self.ca, "COUNTERSIGN_API_KEY": self.key}
        done = subprocess.run([self.binary, "--auto-confirm", *args], env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"countersign {' '.join(args)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip().startswith(("{", "[")) else None

    def stop(self):
        self.child.terminate()
        self.child.wait(40)
