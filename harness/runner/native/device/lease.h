// A lease: whose turn it is on this device, across controllers and users.
//
// The lock is held by a launch; a lease is held by a campaign, between its launches too. It ends
// by itself, on a clock that only the device's restart sets back: nobody has to be there for it.
//
// It is in a file beside the device's lock, which anybody may read. Commands fail with 77 where
// somebody else has it, and say who.
#pragma once

#include "device/command.h"

namespace edge {

// Who asks, and for how long.
struct Claim {
  const char* id = nullptr;  // of a campaign's run
  double term_s = 0;
  const char* holder = "";  // for people
};

constexpr char kLeaseHelp[] =
    "  lease [--lock FILE] take ID TERM HOLDER [--wait S]\n"
    "                       take it or renew it; wait at most so long, in the order of coming\n"
    "  lease [--lock FILE] renew ID TERM HOLDER\n"
    "                       renew it, unless it was broken\n"
    "  lease [--lock FILE] release ID\n"
    "                       give it back, or the place in the queue\n"
    "  lease [--lock FILE] break BY REASON\n"
    "                       take it from whoever has it, who is told at the next launch\n";

Claim take_claim(Words* words);
int lease(Words words);
// As a launch needs it: renews the claim's lease so that it lasts for so much longer than its term.
// A claim without an id only asks that no one has it. Does not return where someone else does.
void require_lease(const char* lock, const Claim& claim, double longer_s);

}  // namespace edge
