#!/bin/sh
# Shows that the simulation finds faults: breaks one rule at a time in a copy of the project, and says which seed
# caught it. `run.sh [seeds] [patch...]`; the copy and its build stay in target/faults. Not part of CI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
seeds=${1:-20000}
[ $# -gt 0 ] && shift
copy="$root/target/faults"
[ $# -gt 0 ] || set -- "$here"/*.patch
mkdir -p "$copy"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 tar cf - 2>/dev/null) |
    (cd "$copy" && find . -path ./target -prune -o -type f -print0 | xargs -0 rm -f && tar xmf -)
# Each fault is built anew: little optimisation, and only what changed.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_INCREMENTAL=true
missed=0
printf '%-24s %-8s %s\n' fault seed violation
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    (cd "$copy" && patch -s -p1 <"$patch" && cargo build -q --release --offline -p simulation)
    found=$("$copy/target/release/simulation" --seeds "$seeds" 2>&1 | grep '^VIOLATION' || true)
    (cd "$copy" && patch -s -R -p1 <"$patch")
    if [ -n "$found" ]; then
        printf '%-24s %-8s %s\n' "$name" "$(echo "$found" | sed 's/.*with seed \([0-9]*\):.*/\1/')" \
            "$(echo "$found" | sed 's/.*with seed [0-9]*: //' | cut -c1-100)"
    else
        printf '%-24s %-8s %s\n' "$name" - "MISSED in $seeds worlds"
        missed=1
    fi
done
exit $missed
