# shellcheck shell=bash
# Sourced by what runs on other versions of ansible-core and Python than those of build/venv.

NOT_ON_A_TARGET=(--ignore=tests/unit/plugin_utils --ignore=tests/unit/filter --ignore=tests/unit/inventory --ignore=tests/unit/lookup --ignore=tests/unit/roles
    --ignore=tests/unit/playbooks)
NOT_OUR_PLUGINS=(--ignore=tests/unit/awx --ignore=tests/unit/lab --ignore=tests/unit/bench --ignore=tests/unit/scripts --ignore=tests/unit/mutants --ignore=tests/unit/simulation)

# The tests of what imports ansible-core: all that its version can change.
# shellcheck disable=SC2034 # a tier that sources this uses it
TOUCHED_BY_CORE=(tests/unit/{filter,inventory,lookup,modules,playbooks,plugin_utils,roles}
    tests/unit/module_utils/_san/{endpoints,guests/test_disks.py,test_runtime.py,test_wishes.py})

# The collections that ours depends on, as build/venv has them.
link_dependencies() {
    local site
    site=$("$VENV/bin/python" -c 'import ansible_collections; print(*ansible_collections.__path__)')
    mkdir -p build/dependencies/ansible_collections/{ansible,community}
    ln -sfn "$site/ansible/posix" build/dependencies/ansible_collections/ansible/posix
    ln -sfn "$site/community/general" build/dependencies/ansible_collections/community/general
}

# A play for each file of tasks, because a syntax check does not follow what is included only while a play runs.
write_roles_playbook() {
    local file role
    for file in roles/*/tasks/*.yml; do
        role=crossvisor.san.$(cut -d / -f 2 <<<"$file")
        printf -- '- hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: %s\n      ansible.builtin.import_role:\n' "$file"
        printf '        name: %s\n        tasks_from: %s\n' "$role" "$(basename "$file")"
    done
}

check_syntax() {
    local playbook
    write_roles_playbook >"$RESULTS/roles.yml"
    for playbook in playbooks/*.yml "$RESULTS/roles.yml"; do
        ansible-playbook --syntax-check -i localhost, "$playbook" || return
    done
}

# documented TYPE NAME...: whether ansible-doc shows all of these.
documented() {
    local type=$1 shown=$RESULTS/$1.txt
    shift
    ansible-doc --type "$type" "${@/#/crossvisor.san.}" >"$shown" && [ "$(grep -c '^> ' "$shown")" -eq $# ]
}

names() { basename --multiple --suffix .py "$@"; }

check_documentation() {
    # shellcheck disable=SC2046 # one word is one name
    documented module $(names plugins/modules/*.py) && documented filter $(names --suffix .yml plugins/filter/*.yml) &&
        documented inventory vms && documented role $(names roles/*)
}

# A module that ansible-core packs, sends and runs, and a filter.
check_run() {
    cat >"$RESULTS/run.yml" <<'EOF'
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - crossvisor.san.hypervisor_facts:
    - ansible.builtin.assert:
        that:
          - ansible_facts.crossvisor.evidence is defined
          - "'naa.600A0980383034684E5D4F3563486C6B' | crossvisor.san.naa == '600a0980383034684e5d4f3563486c6b'"
EOF
    ansible-playbook -i localhost, "$RESULTS/run.yml"
}

# on_core CORE PYTHON [TEST...]: the unit tests there, or these alone, and, where that Python runs a controller, what it reads and runs of the
# collection.
on_core() {
    local name=$1-python$2 directory=$ROOT/build/venv-$1-$2 tests=("${@:3}")
    [ "${#tests[@]}" -gt 0 ] || tests=(tests/unit)
    scripts/venv "$1" "$2"
    if [ ! -x "$directory/bin/ansible-playbook" ]; then
        unit_run "$name" "$directory/bin/python" -m "not exhaustive" --hypothesis-profile quick "${tests[@]}" "${NOT_OUR_PLUGINS[@]}" "${NOT_ON_A_TARGET[@]}"
        return
    fi
    link_dependencies
    local -x PATH=$directory/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$ROOT/build/collections:$ROOT/build/dependencies
    unit_run "$name" "$directory/bin/python" -m "not exhaustive" --hypothesis-profile quick "${tests[@]}" "${NOT_OUR_PLUGINS[@]}"
    check "$name-syntax" check_syntax
    check "$name-documentation" check_documentation
    check "$name-run" check_run
    ANSIBLE_PLAYBOOK=$directory/bin/ansible-playbook pytest_run "$name-both-ways" "$VENV/bin/python" tests/conformance/ansible
}
