# shellcheck shell=bash
# Sourced by the tiers that run ansible-test sanity, each on a copy of the working tree of its own.

WORK=$ROOT/build/$TIER
COPY=$WORK/ansible_collections/crossvisor/san

# ansible-test looks for ansible_collections/NAMESPACE/NAME, and for the version control system that knows the files. The tests are left out, as
# they are in the archive (galaxy.yml): ruff and mypy judge them.
copy_tree() {
    rm -rf "$WORK/ansible_collections"
    mkdir -p "$COPY"
    if git rev-parse --git-dir >/dev/null 2>&1; then tracked .; else find . -path ./build -prune -o -type f -printf '%P\n'; fi |
        grep --invert-match '^tests/' | tar --create --files-from - | tar --extract --directory "$COPY"
    git -C "$COPY" init --quiet
}

# ansible-test keeps its environments below HOME and downloads pip's bootstrap script to there. That site is no package index and not
# reachable from everywhere, so a HOME of our own gets a stand-in (get_pip.py) and pip's wheel, and the user's stays as it is.
# pip's settings come along by file, because ansible-test keeps the environment from pip.
prepare_home() {
    local cache=$WORK/home/.ansible/test/cache version
    version=$(python -c 'from ansible_test._internal import coverage_util, python_requirements as r
print(r.get_venv_packages(None)["pip"])' 2>/dev/null) || version=24.2
    mkdir -p "$cache" "$WORK/home/.config/pip"
    pip config list | sed -nE "s/^(:env:|global)\.([a-z-]+)='(.*)'$/\2 = \3/p" | sort -u -t '=' -k 1,1 |
        sed '1i[global]' >"$WORK/home/.config/pip/pip.conf"
    ls "$cache/pip-$version"-*.whl >/dev/null 2>&1 || pip --quiet download --no-deps --dest "$cache" "pip==$version"
    cp scripts/get_pip.py "$cache/get_pip_${version//./_}.py"
}

# sanity VERSION NAME ARGUMENT...: runs ansible-test sanity with this Python and keeps what it counted.
sanity() {
    local version=$1 name=$2 status=0
    shift 2
    (cd "$COPY" && HOME=$WORK/home ansible-test sanity --color no --python "$version" --junit "$@") || status=$?
    mkdir -p "$RESULTS/$name"
    mv "$COPY"/tests/output/junit/*.xml "$RESULTS/$name"
    return "$status"
}

unset ANSIBLE_COLLECTIONS_PATH
copy_tree
prepare_home
