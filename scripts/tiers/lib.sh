# shellcheck shell=bash
# Sourced by the tiers. A tier ends with 0, 1, or 77 after a line "cannot run: reason". It leaves what it counted in $RESULTS:
# pytest's and ansible-test's JUnit files, and "passed NAME" or "failed NAME" lines for single checks.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

TIER=$(basename "$0")
RESULTS=$ROOT/build/test/$TIER
export PATH=$VENV/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$ROOT/build/collections NO_COLOR=1 ANSIBLE_NOCOLOR=1
# What Python compiles is kept, and beside no source: a run of ansible-playbook that compiles all it imports takes twice as long.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$ROOT/build/.pycache
mkdir -p "$RESULTS"
FAILED=0

# check NAME COMMAND...: runs the command and notes how it ended; the tier goes on.
check() {
    local name=$1 verdict=passed
    shift
    printf '== %s\n' "$name"
    "$@" || verdict=failed
    [ "$verdict" = passed ] || FAILED=1
    printf '%s %s\n' "$verdict" "$name" >>"$RESULTS/checks"
}

# pytest_run NAME PYTHON ARGUMENT...: runs pytest, which counts its own tests. What they write goes below $SCRATCH. What hangs is told by its test
# and ended, or the log of a run that is ended would name no reason.
SCRATCH=build/tmp # a lab that an interrupted test leaves is found and stopped there
LONGEST_TEST=1500 # seconds, which include what a test is the first to start
pytest_run() {
    local name=$1 python=$2
    shift 2
    printf '== %s: %s\n' "$name" "$("$python" --version)"
    stop_labs "$SCRATCH/$TIER-$name"
    rm -rf "${SCRATCH:?}/$TIER-$name" # pytest would do it file by file
    mkdir -p "$SCRATCH"
    "$python" -m pytest --quiet --timeout="$LONGEST_TEST" --junit-xml="$RESULTS/$name.xml" -o cache_dir="$ROOT/build/.pytest_cache/$name" \
        --basetemp="$SCRATCH/$TIER-$name" "$@" || FAILED=1
}

# unit_run NAME PYTHON ARGUMENT...: the same for unit tests, which depend on nothing but themselves, in one process more than there are cores here,
# because some of them wait for a time limit to pass.
unit_run() {
    local part processes=()
    for part in 1 2 3; do
        { pytest_in_memory "$1-$part" "${@:2}" --part "$part/3"; exit "$FAILED"; } &
        processes+=($!)
    done
    for part in "${processes[@]}"; do
        wait "$part" || FAILED=1
    done
}

# pytest_in_memory NAME PYTHON ARGUMENT...: the same for tests that write thousands of small files, or file systems of their own, which a disk takes
# ten times as long for as memory.
pytest_in_memory() {
    local SCRATCH=$SCRATCH
    ! memory_serves || SCRATCH=$MEMORY
    pytest_run "$@"
    [ "$SCRATCH" != "$MEMORY" ] || rm -rf "${MEMORY:?}/$TIER-$1"
}

# memory_serves: whether a directory of ours in memory has room, and programs run from it, which containers may forbid.
memory_serves() {
    mkdir -m 700 "$MEMORY" 2>/dev/null || true
    [ -d "$MEMORY" ] && [ -O "$MEMORY" ] && [ ! -L "$MEMORY" ] || return 1
    [ "$(df --output=avail -k "$MEMORY" | tail -1)" -ge "$ENOUGH_KIB" ] || return 1
    local probe=$MEMORY/.$BASHPID # of this process alone, of which there may be several
    printf '#!/bin/sh\n' >"$probe" && chmod +x "$probe" && "$probe" 2>/dev/null
    local code=$?
    rm -f "$probe"
    return "$code"
}
ENOUGH_KIB=1048576

# tracked PATTERN...: the files of the working tree that git knows or would add, one a line.
tracked() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do [ ! -f "$file" ] || echo "$file"; done; }

finish() { exit "$FAILED"; }
