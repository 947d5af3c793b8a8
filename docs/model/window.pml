/* The sliding window of a session's counters (replay/window.go, window_table.go, window_time.go) at nodes that serve
   requests at the same time, and that lose their memory when they start again.

   One session with COUNTERS requests, which the client makes in order and the network delivers in any order, again and
   again, beside forged ones. The window has SIZE places for 1,024. Time is the servers'; a request is dated up to SKEW
   ahead of the moment that it is made.

   run as-built: holds
   run as-built-farther   -DCOUNTERS=6 -DEND=0: holds
   run shared-store       -DSHARED: holds
   run mark-before-mac    -DMARK_BEFORE_MAC: fails forged_moved_it
   run no-lock            -DNO_LOCK: fails accepted_twice
   run begins-at-once     -DBEGINS_AT_ONCE: fails accepted_after_restart
   run begins-sans-skew   -DBEGINS_SANS_SKEW: fails accepted_after_restart
   run low-ones-pass      -DLOW_ONES_PASS: fails accepted_twice
   run in-order-only      -DIN_ORDER_ONLY: fails refused_in_window
   run places-not-cleared -DPLACES_NOT_CLEARED -DCOUNTERS=6 -DEND=0: fails refused_in_window
   run once-in-the-fleet  -DONCE_IN_THE_FLEET: fails accepted_at_two_nodes
   run accepts            -DREACH=0: fails unreached
   run accepts-late-ones  -DREACH=1: fails unreached
   run refuses-low-ones   -DREACH=2: fails unreached
   run refuses-restarted  -DREACH=3: fails unreached */

#define NODES 2
#ifndef COUNTERS
#define COUNTERS 4 /* one more than the client uses: a forger's */
#endif
#define SIZE 2
#define SKEW 1
#ifndef END
#define END 2 /* of time */
#endif

#ifdef SHARED
#define MEMORY(node) 0 /* a Window that all nodes have in common, and that outlives them */
#define LOSES_MEMORY false
#else
#define MEMORY(node) node
#define LOSES_MEMORY true
#endif
#define PLACE(m, n) ((m) * SIZE + (n) % SIZE)

byte now;
byte sent;                /* the highest counter that the client used */
byte made[COUNTERS + 1];  /* counter -> the time that its request says */

byte begins[NODES];       /* node -> requests dated up to then are refused; 0: it never lost anything */
byte life[NODES];         /* node -> how often it started again: handlers of an earlier life are gone */
byte top[NODES];
bool bits[NODES * SIZE];
byte holder[NODES];       /* memory -> who holds its lock */
#define NOBODY 0

/* What happened, for the properties only. */
byte accepted[NODES * (COUNTERS + 1)];  /* in all lives */
byte in_life[NODES * (COUNTERS + 1)];   /* in this one */
#define SEEN(node, n) ((node) * (COUNTERS + 1) + (n))

bool accepted_twice, accepted_after_restart, forged_moved_it, refused_in_window, accepted_at_two_nodes, unreached;

inline reached(what) {
#ifdef REACH
  if :: what == REACH -> unreached = true; assert(!unreached) :: else fi
#else
  skip
#endif
}

/* advance makes n the top: the places of the counters that come in still hold those that go out. */
inline advance(m, n) {
  i = top[m] + 1;
  do
  :: i <= n ->
#ifndef PLACES_NOT_CLEARED
     bits[PLACE(m, i)] = false;
#endif
     i++
  :: else -> break
  od;
  top[m] = n
}

/* judge tells what the window says of n, and changes nothing. */
inline judge(m, n) {
  if
  :: n > top[m] -> verdict = ok
#ifdef IN_ORDER_ONLY
  :: n <= top[m] -> verdict = replayed
#elif defined(LOW_ONES_PASS)
  :: n <= top[m] && top[m] - n >= SIZE -> verdict = ok
  :: n <= top[m] && top[m] - n < SIZE -> verdict = (bits[PLACE(m, n)] -> replayed : ok)
#else
  :: n <= top[m] && top[m] - n >= SIZE -> verdict = behind
  :: n <= top[m] && top[m] - n < SIZE -> verdict = (bits[PLACE(m, n)] -> replayed : ok)
#endif
  fi
}

inline set(m, n) {
  late = (n < top[m]);
  if :: n > top[m] -> advance(m, n) :: else fi;
  bits[PLACE(m, n)] = true
}

/* accept writes down that a request was let through. */
inline accept(node, n) {
  if :: in_life[SEEN(node, n)] > 0 -> accepted_twice = true :: else fi;
  if :: in_life[SEEN(node, n)] == 0 && accepted[SEEN(node, n)] > 0 -> accepted_after_restart = true :: else fi;
  if :: accepted[SEEN(1 - node, n)] > 0 -> accepted_at_two_nodes = true :: else fi;
  accepted[SEEN(node, n)]++; in_life[SEEN(node, n)]++;
  assert(!accepted_twice); assert(!accepted_after_restart);
#if defined(ONCE_IN_THE_FLEET) || defined(SHARED)
  assert(!accepted_at_two_nodes);
#endif
  reached(0);
  if :: late -> reached(1) :: else fi
}

#ifdef SHARED
#define used(node, n) (accepted[SEEN(0, n)] + accepted[SEEN(1, n)] > 0)
#else
#define used(node, n) (in_life[SEEN(node, n)] > 0)
#endif

/* refuse judges a refusal: "below the window" needs a higher counter of the client's, "replayed" an earlier use. */
inline refuse(node, n) {
  if
  :: verdict == behind && sent - n < SIZE -> refused_in_window = true
  :: verdict == replayed && !used(node, n) -> refused_in_window = true
  :: else
  fi;
  assert(!refused_in_window);
  if :: verdict == behind -> reached(2) :: verdict == restarted -> reached(3) :: else fi
}

mtype = { ok, replayed, behind, restarted, gone };

/* Handler serves one request after the other at a node; several run at each. */
proctype Handler(byte node) {
  byte n, i, born;
  bool forged, late;
  mtype verdict;
end:
  do
  :: atomic { /* a request arrives: one of the client's, for the first time or again, or a forged one */
       sent > 0; born = life[node]; verdict = ok;
       if :: select(n : 1 .. sent) :: forged = true; n = COUNTERS fi;
#ifndef MARK_BEFORE_MAC
       if :: forged -> goto next :: else fi; /* its MAC doesn't hold */
#endif
       /* MemoryWindows.check, before the lock: what the request says. */
       if
#ifndef BEGINS_AT_ONCE
       :: begins[node] > 0 && !forged && made[n] <= begins[node] -> verdict = restarted; refuse(node, n); goto next
#endif
       :: else
       fi
     };
#ifndef NO_LOCK
     atomic {
       holder[MEMORY(node)] == NOBODY || life[node] != born;
       if :: life[node] != born -> goto next :: else -> holder[MEMORY(node)] = 1 + node fi
     };
#endif
     atomic {
       if :: life[node] != born -> goto next :: else fi;
       judge(MEMORY(node), n)
     };
     atomic {
       if :: life[node] != born -> goto next :: else fi;
       if
       :: verdict == ok -> set(MEMORY(node), n);
          if :: top[MEMORY(node)] > sent -> forged_moved_it = true :: else fi;
          assert(!forged_moved_it)
       :: else
       fi;
       if
       :: forged
       :: !forged && verdict == ok -> accept(node, n)
       :: !forged && verdict != ok -> refuse(node, n)
       fi;
       holder[MEMORY(node)] = NOBODY
     };
next:
     atomic { n = 0; i = 0; born = 0; forged = false; late = false; verdict = ok }
  od
}

/* The client makes its requests in order, by a clock that may be ahead. */
proctype Client() {
  byte ahead;
  do
  :: sent < COUNTERS - 1 ->
     atomic { select(ahead : 0 .. SKEW); made[sent + 1] = now + 1 + ahead; sent++ }
  :: break
  od
}

proctype Clock() {
  do :: now < END -> now++ :: break od
}

/* Node 0 starts again, once: what it had in memory is gone, and so are the requests that it was serving. */
proctype Restart() {
  byte i;
  atomic {
    life[0]++;
    if
    :: LOSES_MEMORY ->
#ifdef BEGINS_SANS_SKEW
       begins[0] = now + 1;
#else
       begins[0] = now + 1 + SKEW;
#endif
       top[0] = 0;
       for (i : 0 .. SIZE - 1) { bits[i] = false }
       for (i : 0 .. COUNTERS) { in_life[i] = 0 }
    :: else
    fi;
    if :: holder[0] == 1 -> holder[0] = NOBODY :: else fi
  }
}

init {
  atomic {
    run Client(); run Clock(); run Restart(); run Handler(0);
#if defined(SHARED) || defined(ONCE_IN_THE_FLEET)
    run Handler(1)
#else
    run Handler(0)
#endif
  }
}
