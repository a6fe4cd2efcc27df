// Random bits into a module with the ports clk, random and differs, until differs is seen or all is well.
// Cycles are the first argument; the exit code is 1 for a difference.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "Vbench.h"
#include "verilated.h"

int main(int argc, char **argv) {
    const long cycles = std::atol(argv[1]);
    VerilatedContext context;
    auto model = std::make_unique<Vbench>(&context);
    std::mt19937_64 random(1);
    for (long cycle = 0; cycle < cycles; ++cycle) {
        for (int i = 0; i < 4; ++i) model->random[i] = static_cast<uint32_t>(random());
        model->clk = 0;
        model->eval();
        model->clk = 1;
        model->eval();
        if (model->differs) {
            std::printf("differs in cycle %ld\n", cycle);
            return 1;
        }
    }
    std::printf("the same for %ld cycles, %u words seen\n", cycles, model->seen);
    return 0;
}
