#!/bin/sh
# The drill's runner: keeps the runner contract, infers nothing, and writes a journal on its device.
# It runs on any shell; @NAME@ is filled in by drill/device.py. A fault is a script that lies
# beside the journal, named after its stage and the launch that it is for; it is run once.
out=@OUT@
launch=${PWD##*/}

say() { echo "$*" >>"$out/journal"; @SYNC@; }
broken() { echo "$1: No space left on device"; exit 1; }  # not every shell says it
emit() { echo "$1" >>events.jsonl || broken events.jsonl; }

n=0
[ -f "$out/count" ] && read -r n <"$out/count"
n=$((n + 1))
echo $n >"$out/count"

strike() {
  at=$1-$n
  [ -f "$out/faults/$at" ] || return 0
  mv "$out/faults/$at" "$out/faults/$at.struck"
  say struck "$launch" "$1"
  . "$out/faults/$at.struck"
}

say begun "$launch" here
settings=$(cat model.json)
model=other
case $settings in *1001*) model=alpha ;; *1002*) model=beta ;; esac

# Samples that no other launch has.
IFS=- read -r a b c d e </proc/sys/kernel/random/uuid
a=$((100000 + 0x$a % 400000)) b=$((100000 + 0x$b$c % 400000)) c=$((100000 + 0x${e%????} % 400000))

strike start
emit '{"event":"hello","protocol":1,"runner":"drill","runner_version":"1","engine":"calibration","engine_version":"1","pid":'$$',"process_ms":0.1,"import_ms":0.1}'
emit '{"event":"loaded","read_ms":0.1,"read_bytes":3,"page_cache":"cold","init_ms":0.1}'
emit '{"event":"first","ms":0.1}'
emit '{"event":"warmup","ns":[100000],"reason":"steady"}'
emit '{"event":"samples","ns":['$a,$b']}'
say sampled "$launch" $model $a $b $c
strike samples
emit '{"event":"samples","ns":['$c']}'
emit '{"event":"memory","vmhwm_bytes":1000000}'
@OUTPUTS@
emit '{"event":"done"}'
strike reading
[ -z "${spoiled-}" ] && say done "$launch" $model $a $b $c
exit 0
