# Sourced by ./dev and ./test: finds cargo and a C compiler, and says in one line what is missing and how to get it.
# POSIX sh. It sets PATH and, where rustup has to fetch the toolchain, RUSTUP_TOOLCHAIN; it changes nothing else.

# The oldest Rust that builds this (rust-version in Cargo.toml).
toolchain_rust=1.95

# rustup's folder is not on the PATH of a shell that was open while it was installed.
case ":$PATH:" in
    *":${CARGO_HOME:-$HOME/.cargo}/bin:"*) ;;
    *) PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin" && export PATH ;;
esac

# Whether the Rust at hand is new enough. Compares major and minor as numbers.
toolchain_rust_is_new_enough() {
    toolchain_found=$(rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p')
    [ -n "$toolchain_found" ] || return 1
    [ "${toolchain_found%%.*}" -gt "${toolchain_rust%%.*}" ] && return 0
    [ "${toolchain_found%%.*}" -eq "${toolchain_rust%%.*}" ] && [ "${toolchain_found#*.}" -ge "${toolchain_rust#*.}" ]
}

# A compiler that can link, not only one that is there: without the C library's files the build fails much later.
toolchain_c_works() {
    command -v "${CC:-cc}" >/dev/null 2>&1 || return 1
    toolchain_try=$(mktemp -d) || return 1
    printf 'int main(void) { return 0; }\n' >"$toolchain_try/a.c"
    "${CC:-cc}" -o "$toolchain_try/a" "$toolchain_try/a.c" >/dev/null 2>&1
    toolchain_status=$?
    rm -rf "$toolchain_try"
    return $toolchain_status
}

# rustup without a toolchain, or with an old one: it can fetch the right one itself, beside what is there.
if ! toolchain_rust_is_new_enough && [ -z "${RUSTUP_TOOLCHAIN:-}" ] && command -v rustup >/dev/null 2>&1; then
    printf '%s\n' "Fetching Rust $toolchain_rust with rustup." >&2
    if rustup toolchain install "$toolchain_rust" --profile minimal --component clippy --component rustfmt --no-self-update >&2; then
        RUSTUP_TOOLCHAIN=$toolchain_rust && export RUSTUP_TOOLCHAIN
    fi
fi

# Prints one line on what is missing; nothing when all is there.
toolchain_missing() {
    if ! command -v cargo >/dev/null 2>&1; then
        echo "Rust is missing; install it from https://rustup.rs, open a new shell, and run this again."
    elif ! toolchain_rust_is_new_enough; then
        echo "Rust $toolchain_rust or newer is needed (found: ${toolchain_found:-none}); run: rustup update stable && rustup default stable"
    elif ! toolchain_c_works; then
        echo "a working C compiler is missing (SQLite and the crypto library are C); run: sudo apt-get install -y gcc libc6-dev"
    fi
}
