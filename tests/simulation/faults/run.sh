#!/bin/sh
# Shows that the tests find faults: breaks one rule at a time in a copy of the project, and says which test of the
# engine's rules, or else which seed of the simulation, or else which test of the driver, caught it. `run.sh [seeds] [patch...]`; the copy and its build
# stay in target/faults. Not part of CI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
seeds=${1:-2000}
[ $# -gt 0 ] && shift
copy="$root/target/faults"
[ $# -gt 0 ] || set -- "$here"/*.patch
mkdir -p "$copy"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 tar cf - 2>/dev/null) |
    (cd "$copy" && find . -path ./target -prune -o -type f -print0 | xargs -0 rm -f && tar xmf -)
# Each fault is built anew: little optimisation, and only what changed.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_INCREMENTAL=true CARGO_NET_OFFLINE=true
# A fault may keep a test or a world from ever coming to an end; that is caught as well.
rules() { timeout 60 cargo test -q --no-fail-fast -p engine --test rules -- --format pretty; }
driver() { timeout 120 cargo test -q --no-fail-fast -p driver -- --format pretty; }
worlds() { timeout 300 target/release/simulation --seeds "$seeds"; }
missed=0 total=0
row() { printf '%-24s %-10s %s\n' "$1" "$2" "$(echo "$3" | cut -c1-100)"; }
# Cuts what a run said of a failure to one line; $1: a sed command that finds it.
first() { sed -n "$1" "$copy/target/said" | sort | head -n 1 | grep . || echo 'no end, or a panic'; }
try() {
    if ! cargo test -q --no-run -p engine --test rules; then
        row "$1" - 'DOES NOT BUILD'
    elif ! rules >target/said 2>&1; then
        row "$1" rules "$(first 's/^test \(.*\) \.\.\. FAILED$/\1/p')"
        return
    elif ! cargo build -q --release -p simulation; then
        row "$1" - 'DOES NOT BUILD'
    elif ! worlds >target/said 2>&1; then
        row "$1" simulation "$(first 's/^VIOLATION with //p')"
        return
    elif ! driver >target/said 2>&1; then
        row "$1" driver "$(first 's/^test \(.*\) \.\.\. FAILED$/\1/p')"
        return
    else
        row "$1" - "MISSED by the rules, in $seeds worlds and by the driver's tests"
    fi
    missed=$((missed + 1))
}
cd "$copy"
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    if patch -s -f -F0 -p1 --dry-run <"$patch" >/dev/null; then
        patch -s -p1 <"$patch"
        try "$name"
        patch -s -R -p1 <"$patch"
    else
        row "$name" - 'DOES NOT FIT'
        missed=$((missed + 1))
    fi
    total=$((total + 1))
done
echo "$((total - missed)) of $total caught"
[ "$missed" = 0 ]
