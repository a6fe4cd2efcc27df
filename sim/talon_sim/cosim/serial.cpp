// A UART at the pins of a verilated design, for ctypes: bytes in, bytes out, clock cycles in between.
//
// TALON_CLOCK, TALON_RX and TALON_TX are the ports: the clock, the wire to the design, the wire from it.
// Bits are as long as the host says, in cycles and fractions of them, whatever the design believes.

#include <cstdint>
#include <deque>
#include <memory>

#include "Vtop.h"
#include "verilated.h"

namespace {

struct Board {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    double bit;  // clock cycles
    uint64_t cycles = 0;

    std::deque<uint8_t> to_send;
    double send_at = 0;       // when the next bit begins
    uint16_t sending = 0;     // bits that are left, under a one that marks the end
    std::deque<uint8_t> got;  // bytes that nobody has read
    double look_at = 0;       // the middle of the next bit
    int looks = -1;           // bits seen of the byte under way; -1: none is
    uint16_t seen = 0;

    void send() {
        if (sending <= 1) {
            if (to_send.empty()) {
                sending = 0;
                return;
            }
            if (!sending) send_at = static_cast<double>(cycles);
            // start bit, data, stop bit
            sending = static_cast<uint16_t>(0b11 << 9 | to_send.front() << 1);
            to_send.pop_front();
        }
        top->TALON_RX = sending & 1;
        sending >>= 1;
        send_at += bit;
    }

    void look() {
        const bool level = top->TALON_TX;
        if (looks < 0) {
            if (level) return;
            looks = 0, seen = 0;
            look_at = static_cast<double>(cycles) + bit / 2;
        }
        if (static_cast<double>(cycles) < look_at) return;
        look_at += bit;
        if (looks == 0 && level) {  // no start bit
            looks = -1;
        } else if (++looks <= 9) {
            seen = static_cast<uint16_t>(seen >> 1 | level << 8);
        } else {
            got.push_back(static_cast<uint8_t>(seen >> 1));
            looks = -1;
        }
    }

    void cycle() {
        if (static_cast<double>(cycles) >= send_at || !sending) send();
        top->TALON_CLOCK = 0;
        top->eval();
        top->TALON_CLOCK = 1;
        top->eval();
        ++cycles;
        look();
    }
};

}  // namespace

#define API extern "C" __attribute__((visibility("default")))

API Board *serial_new(uint64_t seed, double bit) {
    auto board = new Board;
    board->context.randReset(2);
    board->context.randSeed(static_cast<int>(seed & 0x7fffffff) | 1);
    board->top = std::make_unique<Vtop>(&board->context, "board");
    board->top->TALON_RX = 1;
    board->bit = bit;
    return board;
}

API void serial_free(Board *board) {
    board->top->final();
    delete board;
}

API uint64_t serial_cycles(const Board *board) { return board->cycles; }

API void serial_write(Board *board, const uint8_t *data, int64_t n) {
    board->to_send.insert(board->to_send.end(), data, data + n);
}

// Runs until `wanted` bytes are there to be read, or `max_cycles` are over; returns how many there are.
API int64_t serial_run(Board *board, int64_t max_cycles, int64_t wanted) {
    while (static_cast<int64_t>(board->got.size()) < wanted && max_cycles-- > 0) board->cycle();
    return static_cast<int64_t>(board->got.size());
}

// Takes up to `n` bytes; returns how many.
API int64_t serial_read(Board *board, uint8_t *data, int64_t n) {
    int64_t count = 0;
    for (; count < n && !board->got.empty(); ++count) {
        data[count] = board->got.front();
        board->got.pop_front();
    }
    return count;
}
