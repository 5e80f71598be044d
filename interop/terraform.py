"""Temporal's Terraform provider, driven by OpenTofu or Terraform: plan, apply, an apply that finds nothing to do, change, destroy. The provider
is used as it is released; only its endpoint is ours. One line a promise; non-zero if one is not kept."""
import json
import os
import shutil
import subprocess
import sys
import time

import planes
import report


def main():
    provider, tofu = planes.tool("terraform-provider-temporalcloud"), planes.tool("tofu-v1.10.10", "tofu", "terraform")
    if not provider or not tofu:
        report.Report("terraform-provider-temporalcloud").skipped(
            "everything", "put its release on the path or into interop/work/bin" if not provider else "OpenTofu is missing; interop/tools go")
        return
    sign = planes.Countersign()
    folder = sign.path("tf")
    shutil.copytree(os.path.join(planes.HERE, "terraform"), folder)
    for name in ("one", "two"):
        sign.cli("generate-certificates", "ca", "--organization", name, "--validity-period", "30d", "--ca-certificate-file", f"tf/{name}.pem",
                 "--ca-key-file", f"tf/{name}.key")
    with open(sign.path("tofurc"), "w") as f:
        f.write(f'provider_installation {{\n  dev_overrides {{\n    "temporalio/temporalcloud" = "{os.path.dirname(provider)}"\n  }}\n  direct {{}}\n}}\n')
    env = {"TF_CLI_CONFIG_FILE": sign.path("tofurc"), "TEMPORAL_CLOUD_ENDPOINT": sign.control, "TEMPORAL_CLOUD_API_KEY": sign.key,
           "TF_VAR_account": sign.account, "TF_VAR_expiry": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400 * 30)), "TF_IN_AUTOMATION": "1"}

    def run(*words, step=1, check=True, **more):
        done = sign.run(tofu, f"-chdir={folder}", *words, env={**env, "TF_VAR_step": str(step), **more}, check=False, timeout=300)
        if check and done.returncode:
            # The boxes around its messages say nothing.
            raise RuntimeError(" ".join((done.stderr or done.stdout).replace("│", " ").replace("╷", "").replace("╵", "").split())[:1500])
        return done

    kind = subprocess.run([tofu, "version"], capture_output=True, text=True).stdout.splitlines()[0]
    say = report.Report(f"terraform-provider-temporalcloud by {kind}")
    with say.promise("plan"):
        run("plan", "-no-color", "-input=false")
    with say.promise("apply: namespaces, tags, search attributes, service accounts, a key, users, a group with access and members, a custom role"):
        run("apply", "-no-color", "-input=false", "-auto-approve")
    with say.promise("plan after apply finds nothing to do"):
        done = run("plan", "-no-color", "-input=false", "-detailed-exitcode", check=False)
        report.need(done.returncode == 0, done.stdout[-800:] + done.stderr[-400:])
    with say.promise("the key it made works"):
        token = json.loads(run("output", "-json").stdout)["token"]["value"]
        report.need(sign.cli("namespace", "list", "--api-key", token) is not None)
    with say.promise("a protected namespace is not destroyed"):
        done = run("destroy", "-no-color", "-auto-approve", "-target=temporalcloud_namespace.mtls", check=False)
        report.need(done.returncode and "protect" in done.stderr + done.stdout, done.stderr[-400:])
    with say.promise("apply of a changed configuration, and nothing to do after it"):
        run("apply", "-no-color", "-input=false", "-auto-approve", step=2)
        done = run("plan", "-no-color", "-input=false", "-detailed-exitcode", step=2, check=False)
        report.need(done.returncode == 0, done.stdout[-800:] + done.stderr[-400:])
    with say.promise("the key it disabled is refused"):
        try:
            sign.cli("namespace", "list", "--api-key", token)
        except SystemExit:
            pass
        else:
            raise AssertionError("it was let in")
    with say.promise("what was deleted behind its back is planned to be made again"):
        made = json.loads(run("show", "-json", step=2).stdout)["values"]["root_module"]["resources"]
        robot = next(r["values"]["id"] for r in made if r["address"] == "temporalcloud_service_account.scoped")
        sign.cli("service-account", "delete", "--service-account-id", robot)
        done = run("plan", "-no-color", "-input=false", "-detailed-exitcode", step=2, check=False)
        report.need(done.returncode == 2 and "1 to add" in done.stdout, done.stdout[-400:] + done.stderr[-400:])
    with say.promise("import of a namespace"):
        run("state", "rm", "temporalcloud_namespace.mtls", step=2)
        run("import", "-no-color", "-input=false", "temporalcloud_namespace.mtls", f"tf-mtls.{sign.account}", step=2)
    with say.promise("data source temporalcloud_regions"):
        run("plan", "-no-color", "-input=false", step=2, TF_VAR_regions="1")
    with say.promise("an allowed_account_id that is another account's is refused"):
        done = run("plan", "-no-color", "-input=false", step=2, check=False, TF_VAR_account="other")
        report.need(done.returncode, "it was planned")
    with say.promise("destroy takes away all it made"):
        run("destroy", "-no-color", "-auto-approve", step=2)
        left = json.dumps([sign.cli("namespace", "list"), sign.cli("service-account", "list"), sign.cli("user", "list")])
        report.need("tf-" not in left and "example.com" not in left, left)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    report.end()
