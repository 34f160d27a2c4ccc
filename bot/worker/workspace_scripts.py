"""The shell scripts that run git inside a sandbox, one per phase, so that each phase costs one sandbox start.

They get paths and object names as arguments and environment, never as program text. All values are checked before.
"""

from typing import Final

UNREADABLE: Final = 71
NESTED_GIT: Final = 72
ADD_FAILED: Final = 73

CHECKOUT: Final = """
set -eu
cd "$1"
git init -q --template= .
git fetch -q --depth 1 --no-tags --no-recurse-submodules --no-write-fetch-head --end-of-options "file://$2" "$3"
git checkout -q -b codetask "$3"
"""
"""Arguments: work tree, mirror, base commit. The agent's own throw-away `.git` has no remote, alternates or hooks."""

SNAPSHOT: Final = f"""
set -eu
cd "$GIT_WORK_TREE"
find . -mindepth 1 -path ./.git -prune \\
  -o -type d ! -perm -0500 -prune -fprint "$1/unreadable" -o -iname .git -print0 > "$1/nested"
[ ! -s "$1/unreadable" ] || exit {UNREADABLE}
git read-tree "$2"
if [ -s "$1/nested" ]; then
  found=$(tr -dc '\\000' < "$1/nested" | wc -c)
  unset GIT_LITERAL_PATHSPECS
  ignored=$(git check-ignore -z --stdin < "$1/nested" | tr -dc '\\000' | wc -c) || ignored=0
  export GIT_LITERAL_PATHSPECS=1
  [ "$found" = "$ignored" ] || exit {NESTED_GIT}
fi
git update-index -q --refresh || true
touch -d '2 seconds' "$GIT_INDEX_FILE"
git add -A -- . || exit {ADD_FAILED}
git write-tree
"""
"""Arguments: scratch folder, base commit. A nested repository is refused, unless it is ignored and so never stored.

`add` would store every unchanged file again (it cannot refresh the time of a read-only pack): the refresh matches
them by content first, and the index is dated ahead so that git believes it. Nothing can change a file in between: the
agent is dead and the work tree read-only."""

TEST_CHECKOUT: Final = """
set -eu
cd "$GIT_WORK_TREE"
git read-tree "$1"
git checkout-index -a -f
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_ALTERNATE_OBJECT_DIRECTORIES
git init -q --template= .
"""
"""Argument: tree. Not `git archive`: `export-ignore` and `export-subst` would change what is tested."""
