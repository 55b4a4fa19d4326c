# Tells what a device is, in lines of a key, a tab and a value. Needs a POSIX shell; what a tool
# or a file would tell that is not there is left out. Reads only, and asks no engine.
#
# Arguments: a Python program; folders with libraries, by colons; libraries to look for, by spaces;
# and the interpreters that are to run the program, else python3 does.
exec 2>/dev/null
export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"

tell() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
line() { # key, file: its first line
  value=
  [ ! -r "$2" ] || IFS= read -r value <"$2"
  tell "$1" "$value"
}

node() { # driver, device file
  access=no
  [ ! -r "$2" ] || [ ! -w "$2" ] || access=yes
  [ ! -e "$2" ] || tell "npu_node $1" "$access $2"
}

tell architecture "$(uname -m)"
tell kernel "$(uname -r)"
tell kernel_build "$(uname -v)"
tell uid "$(id -u)"
if [ -n "$(command -v getprop)" ]; then # Android
  tell model "$(getprop ro.product.manufacturer) $(getprop ro.product.model)"
  tell soc "$(getprop ro.soc.manufacturer) $(getprop ro.soc.model)"
  tell soc "$(getprop ro.board.platform)"
  tell serial "$(getprop ro.serialno)"
  tell os "Android $(getprop ro.build.version.release)"
  tell android_api "$(getprop ro.build.version.sdk)"
  tell android_abi "$(getprop ro.product.cpu.abi)"
  hiai=$(getprop ro.config.hiaiversion)
  [ "$hiai" = 000.000.000.000 ] || tell "npu hiai" "$hiai" # a phone without an NPU
  dumpsys battery | while IFS=: read -r key value; do
    case $key in
      '  present' | '  level' | '  scale' | '  status' | '  temperature') tell "battery $key" "$value" ;;
    esac
  done
  dumpsys thermalservice | while IFS= read -r entry; do
    case $entry in
      'Thermal Status: '*) tell thermal_status "${entry##* }" ;;
      'Current temperatures from HAL:'*) current=yes ;;
      *'Temperature{mValue='*) [ -z "$current" ] || tell thermal "$entry" ;;
      *) current= ;;
    esac
  done
fi
line model /proc/device-tree/model
line model /sys/class/dmi/id/product_name
tell compatible "$(tr '\0' ' ' </proc/device-tree/compatible)"
line serial /proc/device-tree/serial-number
line machine_id /etc/machine-id
line boot_id /proc/sys/kernel/random/boot_id
line load /proc/loadavg
tell os "$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release | tr -d "\"'")"
sed -n 's/^\(Mem[TA][a-z]*\): *\([0-9]*\) kB$/\1 \2/p' /proc/meminfo | while read -r key value; do
  tell "$key" "$value"
done

# What the userland was built for, which a 64-bit kernel does not tell.
for shell in /bin/sh /system/bin/sh; do
  [ ! -r "$shell" ] || tell elf "$(od -An -v -tx1 -N40 "$shell" | tr -d ' \n')"
  [ ! -r "$shell" ] || [ -n "$loader" ] ||
    loader=$(head -c 4096 "$shell" | tr -c '[:print:]' '\n' | grep -E '^/.*/(ld-|linker)' | head -n 1)
done
if [ -z "$loader" ]; then # a static shell
  for loader in /lib/ld-linux*.so.* /lib64/ld-linux*.so.* /lib/*/ld-linux*.so.* \
    /lib/ld-musl-*.so.1 /system/bin/linker*; do
    [ ! -e "$loader" ] || break
    loader=
  done
fi
case $loader in
  '') tell libc none ;;
  *musl*) tell libc "musl $("$loader" 2>&1 | sed -n 's/^Version //p')" ;;
  */linker*) tell libc bionic ;;
  *) # Before glibc 2.33 the loader did not know --version; the library has always told it.
    for file in "$loader" "${loader%/*}/libc.so.6" /lib/*/libc.so.6 /lib/libc.so.6; do
      version=$("$file" --version </dev/null | sed -n '1s/.*version \([0-9.]*[0-9]\).*/\1/p')
      [ -z "$version" ] || break
    done
    tell libc "glibc $version"
    ;;
esac

grep -E '^(processor|model name|CPU implementer|CPU part|Serial)[[:space:]]*:' /proc/cpuinfo |
  head -n 2000 | tr '\t' ' ' | while IFS= read -r entry; do tell cpuinfo "$entry"; done
line cpus_offline /sys/devices/system/cpu/offline
line cpus_present /sys/devices/system/cpu/present
for folder in /sys/devices/system/cpu/cpu[0-9]*/cpufreq; do
  cpu=${folder%/cpufreq}
  cpu=${cpu##*/cpu}
  line "min_khz $cpu" "$folder/cpuinfo_min_freq"
  line "max_khz $cpu" "$folder/cpuinfo_max_freq"
  line "current_khz $cpu" "$folder/scaling_cur_freq"
  line "governor $cpu" "$folder/scaling_governor"
done

for folder in /sys/class/thermal/thermal_zone*; do
  read -r kind <"$folder/type" && line "temperature $kind" "$folder/temp"
done
for file in /sys/class/hwmon/hwmon*/temp*_input; do
  folder=${file%/*}
  [ ! -e "$folder/device/type" ] || continue # made of a thermal zone
  label=
  read -r kind <"$folder/name" || continue
  read -r label <"${file%_input}_label"
  line "temperature $kind $label" "$file"
done

# Often only root may read these.
messages=$(dmesg | grep -iE 'galcore version|initialized rknpu')
for file in /sys/kernel/debug/rknpu/version /proc/debug/rknpu/version /proc/rknpu/version \
  /sys/module/rknpu/version; do
  line "npu rknpu" "$file"
done
tell "npu rknpu" "$(echo "$messages" | grep -io 'initialized rknpu [0-9.]*' | tail -n 1)"
[ ! -e /sys/bus/platform/drivers/RKNPU ] || tell "npu rknpu" present
node rknpu /dev/rknpu
for file in /dev/dri/renderD*; do
  driver=$(readlink "/sys/class/drm/${file##*/}/device/driver")
  [ "${driver##*/}" != RKNPU ] || node rknpu "$file"
done
for file in /sys/module/galcore/version /sys/kernel/debug/gc/version; do
  line "npu galcore" "$file"
done
tell "npu galcore" "$(echo "$messages" | grep -io 'galcore version [0-9a-z.]*' | tail -n 1)"
node galcore /dev/galcore
for file in /dev/fastrpc-cdsp /dev/fastrpc-nsp0 /dev/adsprpc-smd; do # Qualcomm's way to its DSPs
  [ ! -e "$file" ] || tell "npu fastrpc" present
  node fastrpc "$file"
done
for file in /sys/class/accel/accel*/device/uevent; do
  driver=$(sed -n 's/^DRIVER=//p' "$file")
  [ -z "$driver" ] || tell "npu $driver" present
done

for folder in /sys/class/devfreq/*; do
  clock=${folder##*/}
  line "clock_hz $clock" "$folder/cur_freq"
  line "clock_max_hz $clock" "$folder/max_freq"
  line "clock_governor $clock" "$folder/governor"
done

for tool in flock python3 setsid sha256sum taskset timeout; do
  [ -z "$(command -v $tool)" ] || tell tool $tool
done

program=$1 folders=$2 libraries=$3
shift 3
bits() { od -An -v -tu1 -j4 -N1 "$1" | tr -d ' \n'; } # of an ELF file: 1 for 32, 2 for 64
own=$(bits /bin/sh)
[ -n "$own" ] || own=$(bits /system/bin/sh)
cached=$(ldconfig -p | sed -n 's/.* => //p')
set -f
for name in $libraries; do
  found=
  IFS=:
  for folder in $folders /usr/lib /lib /usr/local/lib /usr/lib64 /lib64 /usr/lib/npu \
    /usr/lib/aarch64-linux-gnu /usr/lib/arm-linux-gnueabihf /vendor/lib64 /vendor/lib \
    /system/lib64 /system/lib; do
    [ -n "$found" ] || [ -z "$folder" ] || [ ! -r "$folder/$name" ] ||
      [ "$(bits "$folder/$name")" != "$own" ] || found=$folder/$name
  done
  unset IFS
  [ -n "$found" ] || found=$(echo "$cached" | grep "/$name\$" | head -n 1)
  tell "library $name" "$found"
  case $name in
    librknn*) [ -z "$found" ] || tell "library_version $name" "$(tr -c '[:print:]' '\n' <"$found" |
      grep -oE "${name%.so} version:? [0-9][0-9.]*" | head -n 1)" ;;
  esac
done
set +f
[ $# -gt 0 ] || set -- "$(command -v python3)"
for python; do
  [ ! -x "$python" ] || "$python" -c "$program" </dev/null | while IFS= read -r entry; do
    tell "python $python" "$entry"
  done
done
tell end yes
