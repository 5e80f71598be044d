"""Starts `node/cloud.mjs`, npm's `@temporalio/cloud`, against a fresh Countersign and tells what it found. Non-zero if a promise is not kept."""
import os
import shutil
import sys

import gateway_tools
import planes
import report


def main():
    if not shutil.which("node") or not os.path.isdir(os.path.join(planes.HERE, "work", "npm", "node_modules")):
        report.Report("@temporalio/cloud").skipped("everything", "npm is missing")
        return
    say = report.Report(f"@temporalio/cloud {gateway_tools.npm_version('@temporalio/cloud')}")
    sign = planes.Countersign()
    with say.promise("every promise of the client"):
        done = sign.run("node", os.path.join(gateway_tools.node_folder(), "cloud.mjs"), env={
            "CONTROL": sign.control, "API_KEY": sign.key, "ACCOUNT": sign.account, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": sign.ca_file}, check=False)
        failed = 0
        for line in done.stdout.splitlines():
            word, _, what = line.partition(" ")
            if word == "passed":
                say.passed(what)
            else:
                failed += 1
                print(f"FAIL  {say.client}: {what}", flush=True)
        report.need(done.returncode == 0 and not failed, f"{failed} of its promises are not kept; node ended {done.returncode} {done.stderr[-400:]}")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    report.end()
