# What harness devices doctor reads of a device, by a shell of its own: one "name value" a line.
# Nothing is changed. $1: the work folder.
work=$1
read -r up rest </proc/uptime && echo "uptime $up"
echo "clock $(date +%s)"
folder=$work
while [ ! -d "$folder" ]; do
  folder=${folder%/*}
  [ -n "$folder" ] || folder=/
done
echo "folder $folder"
[ -w "$folder" ] && echo "writable yes"
line=$(df -Pk "$folder" 2>/dev/null | tail -n 1)
set -- $line
if [ $# -ge 6 ]; then
  echo "free_kb $4"
  while read -r source mount type options more; do
    [ "$mount" = "$6" ] && kept=$options
  done </proc/mounts
  echo "mount ${kept:-}"
fi
[ -d "$work/store" ] && set -- $(du -sk "$work/store" 2>/dev/null) && echo "store_kb $1"
if [ -d "$work/launches" ]; then
  ls "$work/launches" | head -n 500 | while read -r name; do echo "launch $name"; done
fi
exit 0
