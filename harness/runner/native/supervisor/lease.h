// A lease: whose turn it is on this device, across controllers and users.
//
// The lock is held by a launch; a lease is held by a campaign, between its launches too. It ends
// by itself, on a clock that only the device's restart sets back: nobody has to be there for it.
//
//   lease [--lock FILE] take ID TERM HOLDER [--wait S]
//                        take it or renew it; wait for it at most so long, in the order of coming
//   lease [--lock FILE] renew ID TERM HOLDER
//                        as a launch does: not where it was broken, which is told
//   lease [--lock FILE] release ID
//                        give it back, or the place in the queue
//   lease [--lock FILE] break BY REASON
//                        take it from whoever has it, who is told at the next launch
//
// It stands in a file beside the device's lock, which anybody may read. Fails with 77 where somebody else has it, and
// says who.
#pragma once

#include "words.h"

// Who asks, and for how long.
struct Claim {
  const char* id = nullptr;  // of a campaign's run
  double term_s = 0;
  const char* holder = "";  // for people
};

Claim take_claim(Words* words);
int lease(Words words);
// As a launch needs it: renews the claim's lease so that it lasts for so much longer than its term. A
// claim without an id only asks that no one has it. Does not return where someone else does.
void require_lease(const char* lock, const Claim& claim, double longer_s);
