#!/bin/sh
# Writes what Joiner needs to know of a Kubernetes cluster to a file, for `joiner plan -f FILE`.
#
#   sh joiner-dump.sh [FILE]      FILE is joiner-dump.json if it is not given; - is standard output
#
# It only reads: one `kubectl get` for each kind, with your current context. Kinds that the cluster does not have are skipped.
# Only the fields named below are written. Environment values, commands, secrets, config maps, user data, and all annotations
# but a few that matter for scheduling never leave this pipe. Read the file before you pass it on.
#
# It needs kubectl, and jq or python3. KUBECTL names another kubectl, JOINER_FILTER=python3 or =jq chooses between the two.
set -eu
umask 077

out=${1:-joiner-dump.json}
kubectl=${KUBECTL:-kubectl}

fail() {
  echo "joiner-dump: $1" >&2
  exit "$2"
}

command -v "$kubectl" > /dev/null 2>&1 || fail "$kubectl is not on the PATH; install kubectl or set KUBECTL" 2

filter=${JOINER_FILTER:-}
for candidate in jq python3; do
  if [ -z "$filter" ] && command -v "$candidate" > /dev/null 2>&1; then filter=$candidate; fi
done
case $filter in
  jq | python3) command -v "$filter" > /dev/null 2>&1 || fail "$filter is not on the PATH; install it" 2 ;;
  '') fail "neither jq nor python3 is on the PATH; install one of them: without it environment values could not be removed" 2 ;;
  *) fail "JOINER_FILTER must be jq or python3, not $filter" 2 ;;
esac

# What is kept of each kind.
print_mask() {
  cat << 'JOINER_MASK'
@MASK@
JOINER_MASK
}

print_jq_filter() {
  cat << 'JOINER_JQ'
@JQ@
JOINER_JQ
}

print_python_filter() {
  cat << 'JOINER_PYTHON'
@PYTHON@
JOINER_PYTHON
}

mask=$(print_mask)
jq_filter=$(print_jq_filter)
python_filter=$(print_python_filter)

# Reads a list and writes one cleaned object to a line.
clean() {
  case $filter in
    jq) jq -c --argjson all "$mask" "$jq_filter" ;;
    python3) python3 -c "$python_filter" "$mask" ;;
  esac
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
: > "$work/items"

# kubectl refuses a whole list of kinds for one that it does not know, so each is asked for alone.
for kind in @KINDS@; do
  : > "$work/status"
  # The raw answer goes through the pipe only: it may hold secrets and must not reach the disk.
  {
    code=0
    "$kubectl" get "$kind" --all-namespaces -o json 2> "$work/error" || code=$?
    echo "$code" > "$work/status"
  } | clean > "$work/kind" || fail "the answer for $kind could not be read by $filter" 1
  if [ "$(cat "$work/status")" = 0 ]; then
    cat "$work/kind" >> "$work/items"
    echo "joiner-dump: $kind: $(wc -l < "$work/kind" | tr -d ' ')" >&2
  elif grep -q -e "doesn't have a resource type" -e 'could not find the requested resource' "$work/error"; then
    echo "joiner-dump: $kind: the cluster has no such kind, skipped" >&2
  else
    case $kind in
      pods | nodes) fail "$kind cannot be listed: $(tail -n 1 "$work/error")" 1 ;;
      *) echo "joiner-dump: $kind: left out: $(tail -n 1 "$work/error")" >&2 ;;
    esac
  fi
done

{
  echo '{"apiVersion":"v1","kind":"List","items":['
  sed '$!s/$/,/' "$work/items"
  echo ']}'
} > "$work/dump"

if [ "$out" = - ]; then
  cat "$work/dump"
else
  cat "$work/dump" > "$out" || fail "$out cannot be written" 1
  echo "joiner-dump: written to $out" >&2
fi
