# Tells what a device is, in lines of a key, a tab and a value. Needs a POSIX shell; what a tool
# or a file would tell that is not there is left out. Reads only, and asks no engine.
#
# Arguments: a Python program, and the interpreters that are to run it; else python3 does.
exec 2>/dev/null
export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"

tell() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
line() { # key, file: its first line
  value=
  [ ! -r "$2" ] || IFS= read -r value <"$2"
  tell "$1" "$value"
}

tell architecture "$(uname -m)"
tell kernel "$(uname -r)"
tell kernel_build "$(uname -v)"
if [ -n "$(command -v getprop)" ]; then # Android
  tell model "$(getprop ro.product.manufacturer) $(getprop ro.product.model)"
  tell soc "$(getprop ro.soc.manufacturer) $(getprop ro.soc.model)"
  tell soc "$(getprop ro.board.platform)"
  tell serial "$(getprop ro.serialno)"
  tell os "Android $(getprop ro.build.version.release)"
  tell android_api "$(getprop ro.build.version.sdk)"
  tell android_abi "$(getprop ro.product.cpu.abi)"
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

for file in /sys/kernel/debug/rknpu/version /proc/debug/rknpu/version /proc/rknpu/version \
  /sys/module/rknpu/version; do
  line "npu rknpu" "$file"
done
[ ! -e /dev/rknpu ] && [ ! -e /sys/bus/platform/drivers/RKNPU ] || tell "npu rknpu" present
[ ! -e /dev/galcore ] ||
  tell "npu galcore" "$(dmesg | grep -io 'galcore version [0-9.]*' | tail -n 1) present"
for file in /sys/class/accel/accel*/device/uevent; do
  driver=$(sed -n 's/^DRIVER=//p' "$file")
  [ -z "$driver" ] || tell "npu $driver" present
done

for tool in flock python3 setsid sha256sum taskset timeout; do
  [ -z "$(command -v $tool)" ] || tell tool $tool
done

program=$1
shift
[ $# -gt 0 ] || set -- "$(command -v python3)"
for python; do
  [ ! -x "$python" ] || "$python" -c "$program" </dev/null | while IFS= read -r entry; do
    tell "python $python" "$entry"
  done
done
tell end yes
