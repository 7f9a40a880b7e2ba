#!/bin/sh
# Ends what a dead parent left behind. The parent writes "dir PATH", "add PID" and "gone PID" lines; when its end of
# the pipe closes, however it died, the processes that remain are killed and the folder is removed.
pids=' '
dir=
while read -r word value; do
  case $word in
    dir) dir=$value ;;
    add) pids="$pids$value " ;;
    gone) pids=$(printf '%s' "$pids" | sed "s/ $value / /") ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ -n "$dir" ] && rm -rf "$dir"
exit 0
