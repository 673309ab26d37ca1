/* memory.pml: memory as driver and device see it: each has a buffer that its stores leave late, and in any order that nothing forbids. */

#define DRIVER 0
#define DEVICE 1
#define DEPTH 3

typedef Stores {
    byte count;
    byte place[DEPTH];
    byte value[DEPTH];
    bool last[DEPTH]      /* a release: it leaves after all that came before */
};

Stores stores[2];
byte memory[PLACES];
bool kick;                /* the doorbell */
bool interrupt;

inline put(who, where, what, release) {
    atomic {
        stores[who].count < DEPTH ->
        stores[who].place[stores[who].count] = where;
        stores[who].value[stores[who].count] = what;
        stores[who].last[stores[who].count] = release;
        stores[who].count++
    }
}

inline store(who, where, what) { put(who, where, what, false) }

/* Loads are made in the order of the program; each side sees its own stores at once. */
inline load(who, where, result) {
    d_step {
        result = memory[where];
        if :: stores[who].count > 0 && stores[who].place[0] == where -> result = stores[who].value[0] :: else fi;
        if :: stores[who].count > 1 && stores[who].place[1] == where -> result = stores[who].value[1] :: else fi;
        if :: stores[who].count > 2 && stores[who].place[2] == where -> result = stores[who].value[2] :: else fi
    }
}

/* A full fence. A doorbell and an interrupt message wait in the same way: they never overtake stores, not even where a fence is missing. */
inline fence(who) { stores[who].count == 0 }

inline leave(who, at) {
    memory[stores[who].place[at]] = stores[who].value[at];
    if :: at < 1 -> move(who, 0, 1) :: else fi;
    if :: at < 2 -> move(who, 1, 2) :: else fi;
    stores[who].place[2] = 0;
    stores[who].value[2] = 0;
    stores[who].last[2] = false;
    stores[who].count--
}

inline move(who, to, from) {
    stores[who].place[to] = stores[who].place[from];
    stores[who].value[to] = stores[who].value[from];
    stores[who].last[to] = stores[who].last[from]
}

#define SAME(who, a, b) (stores[who].place[a] == stores[who].place[b])

proctype Memory(bit who) {
end:
    do
    :: d_step { stores[who].count > 0 -> leave(who, 0) }
#ifndef X86               /* there, stores leave in order: loads that overtake them are all there is */
    :: d_step { stores[who].count > 1 && !stores[who].last[1] && !SAME(who, 1, 0) -> leave(who, 1) }
    :: d_step { stores[who].count > 2 && !stores[who].last[2] && !SAME(who, 2, 0) && !SAME(who, 2, 1) -> leave(who, 2) }
#endif
    od
}
