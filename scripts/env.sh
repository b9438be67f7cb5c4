# shellcheck shell=bash
# Sourced by scripts/run, scripts/test, scripts/test-wheel and .ci/run, which set `root`.
# Keeps $root/.venv at the lock: `ensure run` or `ensure dev`. dev holds everything that run does,
# so both share one environment. When it is in place nothing but `cmp` is run, and no Python.

venv=$root/.venv

say() { printf 'aiplat: %s\n' "$*" >&2; }

# --- in place? -------------------------------------------------------------------------------

# What an installed environment depends on. Kept whole, not as a hash: `cmp` is quick and exact.
stamp() { # run|dev
    printf '%s\n' "$root" "$(readlink -f "$venv/bin/python")"
    cat "$root/pyproject.toml" "$root/requirements/run.txt"
    if [ "$1" = dev ]; then cat "$root/requirements/dev.txt"; fi
}

in_place() { # run|dev
    [ -x "$venv/bin/aiplat" ] && [ -x "$venv/bin/python" ] && [ -f "$venv/.stamp-$1" ] &&
        stamp "$1" | cmp -s - "$venv/.stamp-$1"
}

ensure() { # run|dev
    if in_place "$1"; then return; fi
    # A subshell, so that the lock is let go before aiplat is started. A pip whose script was
    # killed still holds it, and is waited for.
    (
        trap 'say "interrupted; the next run goes on from here"; exit 130' INT
        find_python
        exec 9>"$root/.venv.lock"
        if ! lock_fd 9 LOCK_NB 2>/dev/null; then
            say "another run is installing into .venv: waiting for it to end"
            lock_fd 9 LOCK_EX
        fi
        if ! in_place "$1"; then install "$1"; fi
    )
}

lock_fd() { # fd, flag: the lock belongs to the open file, so it outlives this Python
    "$python" -c "import fcntl; fcntl.flock($1, fcntl.LOCK_EX | fcntl.$2)"
}

# --- what the system lacks -------------------------------------------------------------------

find_python() { # sets `python`; the version that the lock was made with comes first
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$(command -v "$candidate")
            return
        fi
    done
    say "Python 3.11 or newer is missing: $(mend 'python3 python3-venv python3-dev' 'python3.11 python3.11-devel' python@3.11)"
    exit 1
}

mend() { # Debian's names, Fedora's, Homebrew's -> the command that installs them
    local sudo=
    if [ "$(id -u)" != 0 ]; then sudo='sudo '; fi
    if command -v apt-get >/dev/null; then
        echo "${sudo}apt-get install $1"
    elif command -v dnf >/dev/null; then
        echo "${sudo}dnf install $2"
    elif command -v brew >/dev/null; then
        echo "brew install $3"
    else
        echo "install what Debian calls $1"
    fi
}

# Without a compiler nothing can be included: then the header is named as well.
can_include() { printf '#include <%s>\n' "$1" | cc -E -x c - >/dev/null 2>&1; }

# One line for each thing that is missing: what|Debian's package|Fedora's|Homebrew's.
lacking() {
    local version include
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "Python's venv module|python$version-venv|python3-libs|python@$version"
    fi
    # The rest is for fastecdsa alone, which has no wheel.
    if compgen -G "$venv/lib/python*/site-packages/fastecdsa-*.dist-info/INSTALLER" >/dev/null; then return; fi
    if ! command -v cc >/dev/null; then
        echo "a C compiler|gcc libc6-dev|gcc|gcc"
    fi
    if ! can_include gmp.h; then
        echo "GMP's header gmp.h|libgmp-dev|gmp-devel|gmp"
    fi
    if ! [ -f "$include/Python.h" ]; then
        echo "Python's header Python.h|python$version-dev|python3-devel|python@$version"
    fi
}

check_system() {
    local lacks what debian fedora brew
    lacks=$(lacking)
    [ -n "$lacks" ] || return 0
    while IFS='|' read -r what debian fedora brew; do
        say "$what is missing: $(mend "$debian" "$fedora" "$brew")"
    done <<<"$lacks"
    exit 1
}

# --- installing ------------------------------------------------------------------------------

figure() { # name, lock file -> a figure of the header that scripts/lock wrote
    sed -n "2s/.*$1: \([0-9]*\).*/\1/p" "$2"
}

# What an interrupted pip left. It writes INSTALLER after a package's files, so a package without
# it is not whole, whatever pip believes; a name with ~ is an old version half removed. An environment
# that was moved is made anew: its commands name the old place.
mend_environment() {
    local site=("$venv"/lib/python*/site-packages) info
    if ! [ -x "$venv/bin/python" ] ||
        ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        ! compgen -G "${site[0]}/pip-*.dist-info/INSTALLER" >/dev/null ||
        compgen -G "${site[0]}/~*" >/dev/null ||
        ! grep -qF "$venv/bin/" "$venv/bin/pip"; then
        rm -rf "$venv"
        return
    fi
    for info in "${site[@]}"/*.dist-info; do
        if ! [ -f "$info/INSTALLER" ]; then rm -rf "$info"; fi
    done
}

pip() {
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0 "$venv/bin/python" -m pip "$@" 2>&1
}

# Without a terminal pip shows no bar: say now and then how far it is. Errors pass.
progress() {
    awk -v total="$1" '
        function note(text) { print "aiplat:       " text; fflush() }
        /^(Collecting|Requirement already satisfied)/ { if (++seen % 25 == 0) note(seen " of " total " packages looked at") }
        /Downloading .*\([0-9.]+ [MG]B\)/ { sub(/^ +/, ""); note($0) }
        /Building wheel for .*started/ { note($0) }
        /^Installing collected packages/ { note("unpacking") }
        /^Successfully installed/ { note(NF - 2 " packages installed") }
        /^WARNING/ { note($0) }
        /^(ERROR|error|  *error|  *×)/ { failed = 1 }
        failed { print; fflush() }
    ' >&2
}

install() { # run|dev
    local lock=$root/requirements/$1.txt packages kind='' started=$SECONDS
    packages=$(figure packages "$lock")
    if [ "$1" = dev ]; then kind=' with the tools'; fi

    mend_environment
    check_system
    rm -f "$venv/.stamp-$1"
    if ! [ -x "$venv/bin/python" ]; then
        say "[1/3] making .venv with $("$python" --version) (about 20 MB)"
        "$python" -m venv "$venv"
    else
        say "[1/3] .venv is there: going on with it"
    fi

    say "[2/3] installing $packages locked packages$kind (to fetch: $(figure fetch "$lock") MB with torch's CPU build," \
        "about 3 GB with its CUDA build; on disk: $(figure disk "$lock") MB or 7 GB)"
    if [ -t 2 ]; then
        pip install --requirement "$lock" >&2
    else
        pip install --progress-bar off --requirement "$lock" | progress "$packages"
    fi

    say "[3/3] installing aiplat itself, as a link to this folder (under 1 MB)"
    # What builds it is in the lock, so nothing unlocked is fetched.
    pip install --quiet --no-build-isolation --no-deps --editable "$root" >&2
    "$venv/bin/python" -m pip check >/dev/null || say "some packages disagree: see .venv/bin/pip check"

    if [ "$1" = dev ]; then write_stamp run; fi
    write_stamp "$1"
    say "installed in $((SECONDS - started)) s"
}

write_stamp() { # run|dev: last, and whole or not at all
    stamp "$1" >"$venv/.stamp-$1.new"
    mv "$venv/.stamp-$1.new" "$venv/.stamp-$1"
}
