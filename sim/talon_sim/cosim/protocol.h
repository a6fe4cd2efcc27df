// The rules of AXI4-Lite and AXI4-Stream at the ports of the array, checked in every clock cycle.
//
// One sample of all ports a cycle, taken before the rising edge. Whoever breaks a rule, the array
// or its host, the first breach is kept as a text that names the cycle, the signal and the rule.

#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>

// The ports, in the order of `talon_sim.cosim.protocol.PORTS`.
struct TalonPorts {
    uint64_t aresetn;
    uint64_t awaddr, awvalid, awready;
    uint64_t wdata, wstrb, wvalid, wready;
    uint64_t bresp, bvalid, bready;
    uint64_t araddr, arvalid, arready;
    uint64_t rdata, rresp, rvalid, rready;
    uint64_t in_data, in_valid, in_ready, in_last;
    uint64_t out_data, out_valid, out_ready, out_last;
};

class TalonRules {
   public:
    // A write of one of the bits `mask` to the register at `address` holds the array in reset for
    // so many cycles, in which it may withdraw what it offers.
    void array_reset(uint64_t address, uint64_t mask, uint64_t cycles) {
        reset_address_ = address, reset_mask_ = mask, reset_cycles_ = cycles;
    }

    // The host gives up the word that it offers, as it does when its DMA is reset.
    void withdraw() { in_.waits = false; }

    // It gives up the register access that it asks for: its patience has ended.
    void give_up() { aw_.waits = w_.waits = ar_.waits = false; }

    const std::string &violation() const { return violation_; }

    void check(const TalonPorts &p) {
        if (p.aresetn)
            running(p);
        else
            in_reset(p);
        ++cycle_;
    }

    // At the end of a run: each request has had its response.
    void finish() {
        if (writes() || addresses_ != data_)
            fail("s_axil_bvalid", "must answer every write before the end, not leave one open");
        if (reads_)
            fail("s_axil_rvalid", "must answer every read before the end, not leave one open");
    }

   private:
    struct Named {
        const char *name;
        uint64_t value;
    };
    struct Channel {
        const char *valid, *ready;
        bool waits = false;
        uint64_t before[2] = {0, 0};
    };

    void running(const TalonPorts &p) {
        reset_before_ = false;
        steady(aw_, p.awvalid, p.awready, {{"s_axil_awaddr", p.awaddr}});
        steady(w_, p.wvalid, p.wready, {{"s_axil_wdata", p.wdata}, {"s_axil_wstrb", p.wstrb}});
        steady(b_, p.bvalid, p.bready, {{"s_axil_bresp", p.bresp}});
        steady(ar_, p.arvalid, p.arready, {{"s_axil_araddr", p.araddr}});
        steady(r_, p.rvalid, p.rready, {{"s_axil_rdata", p.rdata}, {"s_axil_rresp", p.rresp}});
        steady(in_, p.in_valid, p.in_ready,
               {{"s_axis_tdata", p.in_data}, {"s_axis_tlast", p.in_last}});
        responses(p);
        if (held_)
            out_.waits = false;
        else
            steady(out_, p.out_valid, p.out_ready,
                   {{"m_axis_tdata", p.out_data}, {"m_axis_tlast", p.out_last}});
        words(p);
        requests(p);
    }

    void fail(const char *signal, const std::string &rule) {
        if (!violation_.empty()) return;
        violation_ = "cycle " + std::to_string(cycle_) + ": " + signal + " " + rule;
    }

    static std::string hex(uint64_t value) {
        char text[20];
        std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
        return text;
    }

    // What is offered stays, unchanged, until it is taken.
    template <int N>
    void steady(Channel &channel, bool valid, bool ready, const Named (&payload)[N]) {
        if (channel.waits) {
            if (!valid) fail(channel.valid, std::string("must stay high until ") + channel.ready);
            for (int i = 0; valid && i < N; ++i)
                if (payload[i].value != channel.before[i])
                    fail(payload[i].name, std::string("must stay while ") + channel.valid +
                                              " waits, not change from " + hex(channel.before[i]) +
                                              " to " + hex(payload[i].value));
        }
        channel.waits = valid && !ready;
        for (int i = 0; i < N; ++i) channel.before[i] = payload[i].value;
    }

    uint64_t writes() const { return addresses_ < data_ ? addresses_ : data_; }

    // A response belongs to a request that was taken before, and is one that AXI4-Lite knows.
    void responses(const TalonPorts &p) {
        if (p.bvalid && !writes()) fail("s_axil_bvalid", "must answer a write, and none is open");
        if (p.rvalid && !reads_) fail("s_axil_rvalid", "must answer a read, and none is open");
        if (p.bvalid && p.bresp == EXOKAY) fail("s_axil_bresp", EXCLUSIVE);
        if (p.rvalid && p.rresp == EXOKAY) fail("s_axil_rresp", EXCLUSIVE);
        if (p.bvalid && p.bready && writes()) --addresses_, --data_;
        if (p.rvalid && p.rready && reads_) --reads_;
    }

    void requests(const TalonPorts &p) {
        if (p.awvalid && p.awready) ++addresses_, address_ = p.awaddr;
        if (p.wvalid && p.wready) ++data_, written_ = p.wstrb & 1 ? p.wdata : 0;
        if (p.arvalid && p.arready) ++reads_;
        const bool writes_now = (p.awvalid && p.awready) || (p.wvalid && p.wready);
        const bool is_held = held_;  // words that were taken in this cycle are lost
        if (held_) --held_;
        const bool holds = address_ == reset_address_ && (written_ & reset_mask_);
        if (writes_now && addresses_ == data_ && holds) held_ = reset_cycles_;
        if (is_held || held_) syncs_.clear();
    }

    // TLAST to the host stands at a DONE; each DONE answers a SYNC, and has it unless more follow.
    void words(const TalonPorts &p) {
        if (p.out_valid && !held_) {
            const bool done = p.out_data >> OP_OFFSET == DONE;
            if (p.out_last && !done) fail("m_axis_tlast", "must be low but for a DONE");
            if (done && syncs_.empty())
                fail("m_axis_tdata", "must not be a DONE, as no SYNC is open");
            if (done && !syncs_.empty() && p.out_last == syncs_.front())
                fail("m_axis_tlast", syncs_.front() ? "must be low at a DONE that more follow"
                                                    : "must be high at a DONE that no more follow");
            if (done && p.out_ready && !syncs_.empty()) syncs_.pop_front();
        }
        if (p.in_valid && p.in_ready && p.in_data >> OP_OFFSET == SYNC)
            syncs_.push_back(p.in_data & SYNC_MORE);
    }

    // Nobody offers anything from the first edge in reset on.
    void in_reset(const TalonPorts &p) {
        if (reset_before_) {
            const Named offers[] = {{aw_.valid, p.awvalid},  {w_.valid, p.wvalid},
                                    {b_.valid, p.bvalid},    {ar_.valid, p.arvalid},
                                    {r_.valid, p.rvalid},    {in_.valid, p.in_valid},
                                    {out_.valid, p.out_valid}};
            for (const Named &offer : offers)
                if (offer.value) fail(offer.name, "must be low while aresetn is");
        }
        reset_before_ = true;
        for (Channel *channel : {&aw_, &w_, &b_, &ar_, &r_, &in_, &out_}) channel->waits = false;
        addresses_ = data_ = reads_ = held_ = 0;
        syncs_.clear();
    }

    static constexpr uint64_t EXOKAY = 1;
    static constexpr const char *EXCLUSIVE = "must be OKAY, SLVERR or DECERR, not EXOKAY";
    // As in `talon.arch.packet`, which a test compares.
    static constexpr int OP_OFFSET = 60;
    static constexpr uint64_t SYNC = 3, DONE = 1, SYNC_MORE = 2;

    Channel aw_{"s_axil_awvalid", "s_axil_awready"}, w_{"s_axil_wvalid", "s_axil_wready"};
    Channel b_{"s_axil_bvalid", "s_axil_bready"};
    Channel ar_{"s_axil_arvalid", "s_axil_arready"}, r_{"s_axil_rvalid", "s_axil_rready"};
    Channel in_{"s_axis_tvalid", "s_axis_tready"}, out_{"m_axis_tvalid", "m_axis_tready"};
    std::string violation_;
    uint64_t cycle_ = 0;
    bool reset_before_ = false;
    uint64_t addresses_ = 0, data_ = 0, reads_ = 0;  // taken, without a response
    uint64_t address_ = 0, written_ = 0;             // the last ones
    uint64_t reset_address_ = ~0ull, reset_mask_ = 0, reset_cycles_ = 0;
    uint64_t held_ = 0;        // cycles for which the array is still held in reset
    std::deque<bool> syncs_;   // SYNCs without a DONE: whether more follow
};
