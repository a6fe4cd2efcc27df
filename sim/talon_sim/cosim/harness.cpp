// A driver of the verilated array at its AXI boundary: many clock cycles a call, for ctypes.
//
// In every cycle: set the inputs, evaluate with the clock low, sample the handshakes, evaluate with
// the clock high. So a handshake counts exactly if valid and ready stood before the rising edge.
//
// With TALON_TILES, class Vtop is the array with its tiles cut out (see tiles.py) and class Vtile is
// one tile. All outputs of a tile are functions of its registers, so carrying values between Vtop and the
// tiles once a cycle, before the rising edge, is all there is to do. A tile that says it is idle, has
// been so for a while, and is offered nothing, would not change in this cycle: it is passed over.

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "Vtop.h"
#include "protocol.h"
#include "verilated.h"
#ifdef TALON_TILES
#include "Vtile.h"
#include "Vtile___024root.h"
#include "tile_ports.h"
#include "verilated_sym_props.h"
#include "verilated_syms.h"
#endif
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Tracer = VerilatedFstC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Tracer = VerilatedVcdC;
#endif

namespace {

// splitmix64: good enough for gaps, and the same on every machine.
struct Random {
    uint64_t state;
    uint64_t next() {
        uint64_t z = (state += 0x9E3779B97F4A7C15ull);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }
};

// Gaps on one side of a stream: a gap begins with a probability, and lasts 1 to `burst` cycles.
struct Gaps {
    Random random{1};
    uint32_t chance = 0;  // of 2^32
    uint32_t burst = 1;
    uint32_t left = 0;
    bool now() {
        if (left) {
            --left;
            return true;
        }
        if (!chance || (random.next() >> 32) >= chance) return false;
        left = static_cast<uint32_t>(random.next() % burst);
        return true;
    }
};

#ifdef TALON_TILES
// Cycles that an idle tile is still evaluated: more than any of its registers needs to settle.
constexpr uint32_t SETTLE = 8;

struct Tile {
    VerilatedContext &context;
    const char *name;
    std::unique_ptr<Vtile> model;
    uint32_t awake = SETTLE;
    bool untouched = true;  // no rising edge since the model was made
    bool resets = false;
    // Where Vtop keeps the ports of this tile.
#define DECLARE(port) std::remove_reference_t<decltype(Vtile::port)> *port;
    TALON_TILE_IN(DECLARE)
    TALON_TILE_OUT(DECLARE)
#undef DECLARE

    Tile(VerilatedContext &context, const VerilatedScope &scope)
        : context(context), name(scope.name()) {
#define FIND(port) port = static_cast<decltype(port)>(scope.varFind(#port)->datap());
        TALON_TILE_IN(FIND)
        TALON_TILE_OUT(FIND)
#undef FIND
        make();
    }

    ~Tile() { model->final(); }

    void make() {
        if (model) model->final();
        model = std::make_unique<Vtile>(&context, name);
        model->clk = 0;
        take();
        model->eval();
        give();
        untouched = true;
    }

    void take() {
#define TAKE(port) model->port = *port;
        TALON_TILE_IN(TAKE)
#undef TAKE
    }

    void give() {
#define GIVE(port) *port = model->port;
        TALON_TILE_OUT(GIVE)
#undef GIVE
    }

    bool wakes() const {
#define WAKES(port) || *port
        return !*idle TALON_TILE_WAKE(WAKES);
#undef WAKES
    }

    // Before the rising edge of Vtop.
    void before(bool skip) {
        if (!skip || wakes())
            awake = SETTLE;
        else if (awake)
            --awake;
        if (awake) take();
#ifdef TALON_RESET_MAKES_ANEW
        resets = *rst;
#endif
    }

    // After it.
    void after() {
        if (!awake) return;
        if (resets) {  // a tile without logic for its reset, see tiles.py
            if (!untouched) make();
            return;
        }
        untouched = false;
        model->clk = 1;
        model->eval();
        model->clk = 0;
#ifdef TALON_CLOCK_MEMORY
        // Nothing happens at a falling edge: it is enough that the model remembers a low clock.
        model->rootp->TALON_CLOCK_MEMORY = 0;
#else
        model->eval();
#endif
        give();
    }
};
#endif

struct Array {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
#ifdef TALON_TILES
    std::vector<std::unique_ptr<Tile>> tiles;  // after `top`, whose memory they point into
#endif
    bool skip = true;
    uint64_t tile_cycles = 0;
    uint64_t cycles = 0;
    Gaps in_gaps, out_gaps;
    bool in_offered = false;  // a word is on s_axis and must stay until it is taken
    int64_t taken_between = 0;  // words taken while registers were accessed
    TalonRules rules;
#if VM_TRACE
    std::unique_ptr<Tracer> tracer;
#endif

    Array() {
        context.randReset(2);
        context.randSeed(1);
    }

    void low() {
        top->aclk = 0;
        top->eval();
#if VM_TRACE
        if (tracer) tracer->dump(10 * cycles);
#endif
    }

    void high() {
        check();
#ifdef TALON_TILES
        for (auto &tile : tiles) tile->before(skip);
#endif
        top->aclk = 1;
        top->eval();
#ifdef TALON_TILES
        for (auto &tile : tiles) {
            tile_cycles += tile->awake != 0;
            tile->after();
        }
#endif
#if VM_TRACE
        if (tracer) tracer->dump(10 * cycles + 5);
#endif
        ++cycles;
    }

    void check() {
        const Vtop &t = *top;
        rules.check({t.aresetn,
                     t.s_axil_awaddr, t.s_axil_awvalid, t.s_axil_awready,
                     t.s_axil_wdata, t.s_axil_wstrb, t.s_axil_wvalid, t.s_axil_wready,
                     t.s_axil_bresp, t.s_axil_bvalid, t.s_axil_bready,
                     t.s_axil_araddr, t.s_axil_arvalid, t.s_axil_arready,
                     t.s_axil_rdata, t.s_axil_rresp, t.s_axil_rvalid, t.s_axil_rready,
                     t.s_axis_tdata, t.s_axis_tvalid, t.s_axis_tready, t.s_axis_tlast,
                     t.m_axis_tdata, t.m_axis_tvalid, t.m_axis_tready, t.m_axis_tlast});
    }

    // A cycle of a register access, in which the word that is offered may be taken as well.
    void pass() {
        const bool took = in_offered && top->s_axis_tready;
        high();
        if (took) in_offered = false, top->s_axis_tvalid = 0, ++taken_between;
    }

    ~Array() {
#if VM_TRACE
        if (tracer) tracer->close();
#endif
        if (top) top->final();
    }
};

}  // namespace

#define API extern "C" __attribute__((visibility("default")))

struct TalonRun {
    const uint64_t *in;
    int64_t n_in;
    uint64_t *out;
    int64_t n_out_max;    // 0: the host is not ready for any
    int64_t n_last;       // stop after so many TLAST beats
    int64_t max_cycles;   // stop after so many cycles
    int64_t quiet_limit;  // stop after so many cycles without any beat
    // results
    int64_t taken;
    int64_t got;
    int64_t lasts;
    int64_t quiet;  // cycles since the last beat; also an input
    int64_t cycles;
};

API Array *talon_new(uint64_t seed, const char *trace_path) {
    auto array = new Array;
    array->context.randSeed(static_cast<int>(Random{seed}.next() >> 34) | 1);
#if VM_TRACE
    if (trace_path && *trace_path) array->context.traceEverOn(true);
#endif
    array->top = std::make_unique<Vtop>(&array->context, "array");
#ifdef TALON_TILES
    array->top->eval();
    for (const auto &entry : *array->context.scopeNameMap())
        if (entry.second->varFind(TALON_TILE_MARK))
            array->tiles.push_back(std::make_unique<Tile>(array->context, *entry.second));
#endif
#if VM_TRACE
    if (trace_path && *trace_path) {
        array->tracer = std::make_unique<Tracer>();
        array->context.trace(array->tracer.get(), 99);
        array->tracer->open(trace_path);
    }
#else
    (void)trace_path;
#endif
    return array;
}

// What the rules of protocol.h found first, or nothing; and which reset they are to know of.
API const char *talon_violation(const Array *array) { return array->rules.violation().c_str(); }

API void talon_rules(Array *array, uint64_t address, uint64_t mask, uint64_t cycles) {
    array->rules.array_reset(address, mask, cycles);
}

API void talon_free(Array *array) { delete array; }

API uint64_t talon_cycles(const Array *array) { return array->cycles; }

API uint64_t talon_tiles(const Array *array) {
#ifdef TALON_TILES
    return array->tiles.size();
#else
    return 0 * array->cycles;
#endif
}

// Cycles in which a tile was evaluated, summed over all tiles.
API uint64_t talon_tile_cycles(const Array *array) { return array->tile_cycles; }

API void talon_skip(Array *array, int skip) { array->skip = skip; }

API void talon_reset(Array *array, int64_t cycles) {
    auto &top = *array->top;
    top.aresetn = 0;
    top.s_axil_awaddr = 0, top.s_axil_awvalid = 0;
    top.s_axil_wdata = 0, top.s_axil_wstrb = 0, top.s_axil_wvalid = 0, top.s_axil_bready = 0;
    top.s_axil_araddr = 0, top.s_axil_arvalid = 0, top.s_axil_rready = 0;
    top.s_axis_tdata = 0, top.s_axis_tvalid = 0, top.s_axis_tlast = 0, top.m_axis_tready = 0;
    array->in_offered = false, array->taken_between = 0;
    while (cycles-- > 0) array->low(), array->high();
    top.aresetn = 1;
}

// The host gives up its transfers: what is offered is withdrawn, as after a reset of its DMA.
API void talon_drop(Array *array) {
    array->in_offered = false, array->taken_between = 0;
    array->top->s_axis_tvalid = 0;
    array->rules.withdraw();
}

API void talon_gaps(Array *array, uint64_t seed, uint32_t in_chance, uint32_t out_chance,
                    uint32_t burst) {
    array->in_gaps = {{seed * 2 + 1}, in_chance, burst ? burst : 1, 0};
    array->out_gaps = {{seed * 2 + 2}, out_chance, burst ? burst : 1, 0};
}

// Returns the response (0: OKAY), or -1 if there was none within `max_cycles`.
API int talon_write(Array *array, uint32_t address, uint32_t data, int64_t max_cycles) {
    auto &top = *array->top;
    top.s_axil_awaddr = address, top.s_axil_awvalid = 1;
    top.s_axil_wdata = data, top.s_axil_wstrb = 0xf, top.s_axil_wvalid = 1;
    top.s_axil_bready = 1;
    int response = -1;
    while (response < 0 && max_cycles-- > 0) {
        array->low();
        const bool aw = top.s_axil_awvalid && top.s_axil_awready;
        const bool w = top.s_axil_wvalid && top.s_axil_wready;
        if (top.s_axil_bvalid) response = top.s_axil_bresp;
        array->pass();
        if (aw) top.s_axil_awvalid = 0;
        if (w) top.s_axil_wvalid = 0;
    }
    top.s_axil_awvalid = 0, top.s_axil_wvalid = 0, top.s_axil_bready = 0;
    if (response < 0) array->rules.give_up();
    return response;
}

API int talon_read(Array *array, uint32_t address, uint32_t *data, int64_t max_cycles) {
    auto &top = *array->top;
    top.s_axil_araddr = address, top.s_axil_arvalid = 1, top.s_axil_rready = 1;
    int response = -1;
    while (response < 0 && max_cycles-- > 0) {
        array->low();
        const bool ar = top.s_axil_arvalid && top.s_axil_arready;
        if (top.s_axil_rvalid) *data = top.s_axil_rdata, response = top.s_axil_rresp;
        array->pass();
        if (ar) top.s_axil_arvalid = 0;
    }
    top.s_axil_arvalid = 0, top.s_axil_rready = 0;
    if (response < 0) array->rules.give_up();
    return response;
}

// Offers the words of `in` and takes words into `out`, until a limit of `run` is reached.
API void talon_run(Array *array, TalonRun *run) {
    auto &top = *array->top;
    run->got = run->lasts = run->cycles = 0;
    run->taken = array->taken_between;
    array->taken_between = 0;
    while (run->lasts < run->n_last && run->cycles < run->max_cycles &&
           run->quiet < run->quiet_limit && (run->got < run->n_out_max || !run->n_out_max)) {
        if (!array->in_offered) {
            array->in_offered = run->taken < run->n_in && !array->in_gaps.now();
            top.s_axis_tvalid = array->in_offered;
            if (array->in_offered) {
                top.s_axis_tdata = run->in[run->taken];
                top.s_axis_tlast = run->taken + 1 == run->n_in;
            }
        }
        top.m_axis_tready = run->n_out_max && !array->out_gaps.now();
        array->low();
        const bool took = top.s_axis_tvalid && top.s_axis_tready;
        const bool got = top.m_axis_tvalid && top.m_axis_tready;
        if (got) {
            run->out[run->got++] = top.m_axis_tdata;
            run->lasts += top.m_axis_tlast;
        }
        array->high();
        if (took) array->in_offered = false, ++run->taken;
        run->quiet = took || got ? 0 : run->quiet + 1;
        ++run->cycles;
    }
    top.m_axis_tready = 0;
    // A word that is offered stays on the bus: the next call must begin with it.
    if (!array->in_offered) top.s_axis_tvalid = 0;
}
