#!/usr/bin/env python3
"""Side-by-side benchmark of mTLS-terminating reverse proxies on one machine.

Every proxy runs alone, fresh for each sample, pinned to one core; the load generator and the
upstream share another core. Rounds are interleaved over the peers, and every ratio is taken
within one round against the reference row, so a slow minute of a shared machine hits all alike.

See README.md. Needs only the standard library.
"""
import argparse, json, os, re, shlex, signal, socket, statistics as st, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
KEYED = ("key",)


def tpl(name, **kw):
    return open(os.path.join(HERE, "peers", name)).read().format(**kw)


class Env:
    def __init__(self, a):
        self.a = a
        self.work = os.path.abspath(a.work)
        self.pki = os.path.join(self.work, "pki")
        self.pcore, self.lcore = a.proxy_core, a.load_core
        self.load = os.path.join(a.loadgen, "load")
        self.up = os.path.join(a.loadgen, "upstream")
        self.nextport = 21000
        self.upstream = None

    def port(self):
        # a fresh port for every sample: no TIME_WAIT left from the sample before
        while True:
            self.nextport += 1
            s = socket.socket()
            try:
                s.bind(("127.0.0.1", self.nextport))
                return self.nextport
            except OSError:
                continue
            finally:
                s.close()


# ---- peers: name -> (binary key, function(env, port, scenario) -> argv) ------------------------

def nginx(binary):
    def f(e, port, sc):
        grpc, key = sc == "grpc", sc.startswith(KEYED)
        d = os.path.join(e.work, "run"); os.makedirs(d, exist_ok=True)
        if grpc:
            p = "grpc_pass grpc://up; grpc_set_header X-Client-Subject $ssl_client_s_dn; grpc_read_timeout 3600s;"
        else:
            who = "$ident" if key else "$ssl_client_s_dn"
            p = ('proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; '
                 f'proxy_set_header Host $host; proxy_set_header X-Client-Subject {who};')
            if key:
                p += ' proxy_set_header Authorization "";'
        c = os.path.join(d, f"nginx-{port}.conf")
        open(c, "w").write(tpl("nginx.conf", work=d, port=port, pki=e.pki, upstream=e.a.upstream_port,
            verify="optional" if key else "on", **{"pass": p},
            keymap=f'map $http_authorization $ident {{ default ""; include {e.pki}/keys.nginx.map; }}' if key else "",
            keycheck='if ($ident = "") { return 401; }' if key else ""))
        return [binary, "-c", c, "-p", d, "-g", "daemon off;"]
    return f


def haproxy(binary):
    def f(e, port, sc):
        key = sc.startswith(KEYED)
        d = os.path.join(e.work, "run"); os.makedirs(d, exist_ok=True)
        if key:
            chk = ("http-request set-var(txn.id) req.hdr(authorization),regsub(^Bearer\\ ,,),map_str(%s/keys.haproxy.map)\n"
                   "  http-request deny deny_status 401 if !{ var(txn.id) -m found }\n"
                   "  http-request del-header authorization\n"
                   "  http-request set-header X-Client-Subject %%[var(txn.id)]") % e.pki
        else:
            chk = "http-request set-header X-Client-Subject %[ssl_c_s_dn(cn)]"
        c = os.path.join(d, f"haproxy-{port}.cfg")
        open(c, "w").write(tpl("haproxy.cfg", port=port, pki=e.pki, upstream=e.a.upstream_port,
            verify="optional" if key else "required", keycheck=chk, serveropts="proto h2" if sc == "grpc" else ""))
        return [binary, "-db", "-f", c]
    return f


def own(cmd):
    """A command line with {port} {upstream} {pki} {proto}; {proto} is h1, or h2 in the grpc scenario.
    A scenario that needs API keys appends {pki}/keys.txt through {keys} (empty otherwise)."""
    def f(e, port, sc):
        key = sc.startswith(KEYED)
        if key and "{keys}" not in cmd:
            return None
        return shlex.split(cmd.format(port=port, upstream=e.a.upstream_port, pki=e.pki,
                                      proto="h2" if sc == "grpc" else "h1",
                                      keys=(e.pki + "/keys.txt") if key else ""))
    return f


KINDS = {"nginx": nginx, "haproxy": haproxy, "cmd": own}

def pin(e, core):
    return ["taskset", "-c", str(core)]


def prefer(e, pid):
    """Raises one session above other work: per process, and per session where the kernel groups by it."""
    if not e.a.nice:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, pid, e.a.nice)
        open(f"/proc/{pid}/autogroup", "w").write(str(e.a.nice))
    except OSError as x:
        print("priority:", x, file=sys.stderr)


def settle(e):
    """Waits (not for ever) for other work on the machine to pause."""
    t = time.time()
    while time.time() - t < e.a.settle:
        a = [core_times(c) for c in (e.pcore, e.lcore)]
        time.sleep(0.4)
        b = [core_times(c) for c in (e.pcore, e.lcore)]
        if all(1 - (y[1] - x[1]) / max(1, y[0] - x[0]) < 0.15 for x, y in zip(a, b)):
            return


# ---- processes ---------------------------------------------------------------------------------

def pids_of(sid):
    out = []
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                s = open(f"/proc/{p}/stat").read()
                if int(s[s.rfind(")") + 2:].split()[3]) == sid:
                    out.append(int(p))
            except (OSError, ValueError):
                pass
    return out


def cpu_of(pids):
    t = 0
    for p in pids:
        try:
            s = open(f"/proc/{p}/stat").read()
            f = s[s.rfind(")") + 2:].split()
            t += int(f[11]) + int(f[12])
        except OSError:
            pass
    return t / TICK


def pss_of(pids):
    t = 0
    for p in pids:
        try:
            m = re.search(r"^Pss:\s+(\d+) kB", open(f"/proc/{p}/smaps_rollup").read(), re.M)
            t += int(m.group(1))
        except (OSError, AttributeError):
            pass
    return t


def core_times(c):
    for l in open("/proc/stat"):
        if l.startswith(f"cpu{c} "):
            v = [int(x) for x in l.split()[1:]]
            return sum(v[:8]), v[3] + v[4], v[7]  # all, idle, steal
    return 0, 0, 0


def stop(p):
    """Ends only the processes of the session that this script opened for the proxy."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for q in pids_of(p.pid):
            try:
                os.kill(q, sig)
            except OSError:
                pass
        try:
            p.wait(2)
        except subprocess.TimeoutExpired:
            continue
        for _ in range(20):
            if not pids_of(p.pid):
                return
            time.sleep(0.05)


def start(e, mk, sc):
    port = e.port()
    argv = mk(e, port, sc)
    if argv is None:
        return None, None
    log = open(os.path.join(e.work, "run", "last.log"), "w")
    p = subprocess.Popen(pin(e, e.pcore) + argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                         start_new_session=True, env={**os.environ, "GOMAXPROCS": "1", "HOME": e.work})
    prefer(e, p.pid)
    t = time.time()
    while time.time() - t < 60:
        if p.poll() is not None:
            return None, "exited: " + open(log.name).read()[-300:]
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            time.sleep(0.3)
            return (p, port), None
        except OSError:
            time.sleep(0.05)
    stop(p)
    return None, "did not listen"


def load_cmd(e, mode, port, *extra, cert=True):
    c = pin(e, e.lcore) + [e.load, mode, "--addr", f"127.0.0.1:{port}"]
    if not e.a.separate_upstream:
        c += ["--serve", f"127.0.0.1:{e.a.upstream_port}"]
    if cert:
        c += ["--cert", e.pki + "/client.pem", "--key", e.pki + "/client.key"]
    return c + [str(x) for x in extra]


def sample(e, p, cmd, warm, secs):
    pr = subprocess.Popen(cmd, stdout=subprocess.PIPE, text=True)
    time.sleep(warm + 0.2)
    ids = pids_of(p.pid)
    t0, c0, k0, l0 = time.time(), cpu_of(ids), core_times(e.pcore), core_times(e.lcore)
    time.sleep(max(0.5, secs - 0.5))
    t1, c1, k1, l1 = time.time(), cpu_of(ids), core_times(e.pcore), core_times(e.lcore)
    out = pr.communicate(timeout=60)[0]
    r = json.loads(out.strip().splitlines()[-1])
    r["cpu"] = (c1 - c0) / (t1 - t0)
    d = max(1, k1[0] - k0[0])
    r["core"] = 1 - (k1[1] - k0[1]) / d
    r["steal"] = (k1[2] - k0[2]) / d
    r["others"] = max(0.0, r["core"] - r["cpu"])  # other work and interrupts on the proxy's core
    d = max(1, l1[0] - l0[0])
    r["lcore"] = 1 - (l1[1] - l0[1]) / d
    r["cost_us"] = r["cpu"] / r["rps"] * 1e6 if r["rps"] else 0
    # what one whole core would do at this cost: immune to other work taking the core away
    r["percore"] = r["rps"] / r["cpu"] if r["cpu"] > 0.02 else 0
    return r


# ---- scenarios -----------------------------------------------------------------------------------

def run_one(e, sc, mk):
    settle(e)
    got, err = start(e, mk, sc)
    if got is None:
        return {"skip": err} if err else None
    p, port = got
    a = e.a
    try:
        if sc == "h1":
            return sample(e, p, load_cmd(e, "h1", port, "--conns", a.conns, "--secs", a.secs, "--warm", 1), 1, a.secs)
        if sc == "h2":
            return sample(e, p, load_cmd(e, "h2", port, "--conns", 8, "--streams", 16, "--secs", a.secs, "--warm", 1), 1, a.secs)
        if sc == "grpc":
            return sample(e, p, load_cmd(e, "grpc", port, "--conns", 8, "--streams", 16, "--secs", a.secs, "--warm", 1), 1, a.secs)
        if sc == "hs":
            return sample(e, p, load_cmd(e, "hs", port, "--conns", 16, "--secs", a.secs, "--warm", 1), 1, a.secs)
        if sc == "hs12":
            return sample(e, p, load_cmd(e, "hs", port, "--tls12", "--conns", 16, "--secs", a.secs, "--warm", 1), 1, a.secs)
        if sc == "key-h1":
            return sample(e, p, load_cmd(e, "h1", port, "--keys", e.pki + "/keys.txt", "--conns", a.conns, "--secs", a.secs, "--warm", 1, cert=False), 1, a.secs)
        if sc == "key-h2":
            return sample(e, p, load_cmd(e, "h2", port, "--keys", e.pki + "/keys.txt", "--conns", 8, "--streams", 16, "--secs", a.secs, "--warm", 1, cert=False), 1, a.secs)
        if sc == "big":
            r = sample(e, p, load_cmd(e, "h1", port, "--path", "/big", "--conns", 8, "--secs", a.secs, "--warm", 1), 1, a.secs)
            r["rps"], r["percore"] = r["mbps"], r["mbps"] / max(r["cpu"], 0.05)
            return r
        if sc == "lat":
            direct = json.loads(subprocess.run(load_cmd(e, "lat", a.upstream_port, "--plain", "--conns", 1, "--think-us", 1000, "--secs", a.secs, "--warm", 0.5, cert=False), capture_output=True, text=True).stdout)
            r = json.loads(subprocess.run(load_cmd(e, "lat", port, "--conns", 1, "--think-us", 1000, "--secs", a.secs, "--warm", 0.5), capture_output=True, text=True).stdout)
            r["add50"], r["add99"] = r["p50_us"] - direct["p50_us"], r["p99_us"] - direct["p99_us"]
            r["direct50"] = direct["p50_us"]
            return r
        if sc in ("idle", "idle-h2"):
            h2 = ["--h2"] if sc == "idle-h2" else []
            subprocess.run(load_cmd(e, "h2" if h2 else "h1", port, "--conns", 8, "--secs", 0.5, "--warm", 0.2), capture_output=True)
            time.sleep(0.5)
            before = pss_of(pids_of(p.pid))
            q = subprocess.Popen(load_cmd(e, "idle", port, "--conns", a.idle, *h2), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            line = q.stdout.readline()
            if "READY" not in line:
                return {"skip": "idle: " + line.strip()[:200]}
            time.sleep(1.5)
            after = pss_of(pids_of(p.pid))
            out = q.communicate("\n", timeout=60)[0]
            r = json.loads(out.strip().splitlines()[-1])
            r.update(base_mb=before / 1024, held_mb=after / 1024, kb=(after - before) / a.idle)
            return r
    finally:
        stop(p)


TITLES = {
    "h1": "HTTP/1.1 keep-alive, mTLS, requests/s",
    "h2": "HTTP/2 multiplexed (8 x 16), mTLS, requests/s",
    "grpc": "gRPC unary (8 x 16), mTLS, h2 upstream, calls/s",
    "hs": "new full mTLS handshakes + 1 request, TLS 1.3, per s",
    "hs12": "new full mTLS handshakes + 1 request, TLS 1.2, per s",
    "key-h1": "HTTP/1.1 keep-alive, API key of 100,000, requests/s",
    "key-h2": "HTTP/2, API key of 100,000, requests/s",
    "big": "1 MiB answers over HTTP/1.1, MB/s",
    "idle": "idle mTLS connections, HTTP/1.1",
    "idle-h2": "idle mTLS connections, HTTP/2",
    "lat": "latency added at low load (one request at a time, 1 ms apart)",
}


def med(v):
    return st.median(v) if v else float("nan")


def table(sc, rows, data, ref):
    out = [f"\n### {sc}: {TITLES[sc]}\n"]

    def ratios(name, k):
        return [data[name][i][k] / data[ref][i][k] for i in data.get(name, {}) if i in data.get(ref, {}) and data[ref][i].get(k)]

    if sc.startswith("idle"):
        out.append("| peer | base MB | MB held | KB/connection [min-max] | lost |\n|---|---:|---:|---:|---:|")
        for n in rows:
            d = list(data.get(n, {}).values())
            if d:
                k = [x["kb"] for x in d]
                out.append(f"| {n} | {med([x['base_mb'] for x in d]):.1f} | {med([x['held_mb'] for x in d]):.1f} | {med(k):.1f} [{min(k):.1f}-{max(k):.1f}] | {sum(x['lost'] for x in d)} |")
        return "\n".join(out)
    if sc == "lat":
        out.append("| peer | p50 us | p99 us | added p50 us [min-max] | added p99 us | direct p50 us |\n|---|---:|---:|---:|---:|---:|")
        for n in rows:
            d = list(data.get(n, {}).values())
            if d:
                k = [x["add50"] for x in d]
                out.append(f"| {n} | {med([x['p50_us'] for x in d]):.0f} | {med([x['p99_us'] for x in d]):.0f} | {med(k):.0f} [{min(k):.0f}-{max(k):.0f}] | {med([x['add99'] for x in d]):.0f} | {med([x['direct50'] for x in d]):.0f} |")
        return "\n".join(out)
    out.append(f"| peer | per s [min-max] | x {ref} [min-max] | per CPU-second | x {ref} | CPU us each | p50 us | p99 us | proxy core | load slack | bad/err |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for n in rows:
        d = list(data.get(n, {}).values())
        if not d:
            continue
        v, q, qc = [x["rps"] for x in d], ratios(n, "rps"), ratios(n, "percore")
        out.append(f"| {n} | {med(v):,.0f} [{min(v):,.0f}-{max(v):,.0f}] | {med(q):.2f} [{min(q):.2f}-{max(q):.2f}] | {med([x['percore'] for x in d]):,.0f} | {med(qc):.2f} | "
                   f"{med([x['cost_us'] for x in d]):.1f} | {med([x['p50_us'] for x in d]):.0f} | {med([x['p99_us'] for x in d]):.0f} | {med([x['cpu'] for x in d]):.0%} | {med([x['slack'] for x in d]):.0%} | {sum(x['bad'] for x in d)}/{sum(x['errs'] for x in d)} |")
    return "\n".join(out)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", default="bench-work", help="scratch folder (certificates, run files)")
    ap.add_argument("--loadgen", default=os.path.join(HERE, "loadgen/target/release"), help="folder of the load and upstream binaries")
    ap.add_argument("--row", action="append", default=[], help="NAME=KIND:BINARY, KIND one of nginx haproxy; or NAME=cmd:COMMAND with {port} {upstream} {pki} {proto} {keys}")
    ap.add_argument("--scenarios", default="h1,h2,grpc,hs,idle,lat")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--secs", type=float, default=4)
    ap.add_argument("--conns", type=int, default=64)
    ap.add_argument("--idle", type=int, default=5000)
    ap.add_argument("--ref", default=None, help="reference row for ratios (default: the first)")
    ap.add_argument("--proxy-core", type=int, default=0)
    ap.add_argument("--load-core", type=int, default=1)
    ap.add_argument("--upstream-port", type=int, default=20999)
    ap.add_argument("--separate-upstream", action="store_true", help="run the upstream as its own process that sleeps when idle (the proxy then pays for waking it)")
    ap.add_argument("--nice", type=int, default=0, help="priority for proxy, load and upstream on a shared machine, e.g. -15 (needs root)")
    ap.add_argument("--settle", type=float, default=20, help="wait up to this many seconds for the machine to be quiet before a sample")
    ap.add_argument("--keys", type=int, default=100000)
    ap.add_argument("--json", help="write all samples here")
    a = ap.parse_args()
    e = Env(a)
    os.makedirs(os.path.join(e.work, "run"), exist_ok=True)
    if not os.path.exists(e.pki + "/client.pem"):
        subprocess.run([os.path.join(HERE, "mkcerts.sh"), e.pki, str(a.keys)], check=True)
    rows = {}
    for r in a.row:
        name, rest = r.split("=", 1)
        kind, binary = rest.split(":", 1)
        rows[name] = KINDS[kind](binary)
    ref = a.ref or next(iter(rows))
    if a.nice:
        os.setsid() if os.getpid() != os.getsid(0) else None
        prefer(e, os.getpid())
    up = None
    if a.separate_upstream:
        up = subprocess.Popen(pin(e, e.lcore) + [e.up, f"127.0.0.1:{a.upstream_port}"])
        time.sleep(0.3)
    allout = {}
    try:
        for sc in a.scenarios.split(","):
            data, skipped = {}, {}
            names = list(rows)
            for rnd in range(a.rounds):
                order = names[rnd % len(names):] + names[:rnd % len(names)]
                for n in order:
                    try:
                        r = run_one(e, sc, rows[n])
                    except Exception as x:
                        r = {"skip": repr(x)}
                    if r is None:
                        continue
                    if "skip" in r:
                        skipped[n] = r["skip"]
                        continue
                    data.setdefault(n, {})[rnd] = r
                    if "kb" in r:
                        t = f"{r['kb']:.1f} KB/conn"
                    elif "add50" in r:
                        t = f"added p50 {r['add50']:.0f} us"
                    else:
                        t = f"{r['rps']:.0f}/s core {r['core']:.0%} proxy {r['cpu']:.0%} others {r['others']:.0%} load slack {r['slack']:.0%} steal {r['steal']:.1%} {r['first_bad']}"
                    print(f"  {sc} round {rnd + 1} {n}: {t}", file=sys.stderr, flush=True)
            print(table(sc, names, data, ref), flush=True)
            for n, why in skipped.items():
                print(f"\n{n}: not measured ({why.strip()})", flush=True)
            allout[sc] = data
    finally:
        if up:
            up.terminate()
            up.wait()
        if a.json:
            json.dump(allout, open(a.json, "w"), indent=1)


if __name__ == "__main__":
    main()
