// Models of ECP5 primitives for simulation, written from Lattice's user guides (FPGA-TN-02200, -02204, -02205).
// They have what Yosys makes of Talon's designs; anything else ends the simulation.

// PLL: its output is the reference itself, so a cycle of the simulation is a cycle of the array.
module EHXPLLL #(
    parameter CLKI_DIV = 1,
    parameter CLKFB_DIV = 1,
    parameter CLKOP_DIV = 8,
    parameter CLKOP_CPHASE = 0,
    parameter CLKOP_ENABLE = "ENABLED",
    parameter FEEDBK_PATH = "CLKOP",
    parameter OUTDIVIDER_MUXA = "DIVA",
    parameter PLLRST_ENA = "DISABLED",
    parameter INTFB_WAKE = "DISABLED",
    parameter STDBY_ENABLE = "DISABLED",
    parameter DPHASE_SOURCE = "DISABLED"
) (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    input PLLWAKESYNC, ENCLKOP,
    output CLKOP,
    output LOCK
);
    reg [4:0] steady = 0;
    assign CLKOP = CLKI;
    assign LOCK = &steady;
    always @(posedge CLKI) if (!LOCK) steady <= steady + 1;
endmodule

// Block RAM: one word of DATA_WIDTH_A bits a place. Port B works if it has the same width, and shows a pattern
// that nobody wants if it has not. In words of 36 bits port A writes and port B reads, with the halves of a word
// on A and B of the pins; the lowest address bits of wide ports enable bytes. What a port shows of a place that is
// being written is the complement of what was there, but where the device promises the old word.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA",
    parameter CLKBMUX = "CLKB",
    parameter GSR = "ENABLED",
    // Contents start empty: who relies on others would not get far.
    parameter INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0,
    parameter INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0,
    parameter INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0,
    parameter INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0,
    parameter INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0,
    parameter INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
    parameter INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0,
    parameter INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0,
    parameter INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0,
    parameter INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0,
    parameter INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0,
    parameter INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0,
    parameter INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0,
    parameter INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0,
    parameter INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
    parameter INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0
) (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
    input DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
    output DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
    input DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
    output DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
    localparam SHIFT = DATA_WIDTH_A == 36 ? 5 : DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 :
                       DATA_WIDTH_A == 4 ? 2 : DATA_WIDTH_A == 2 ? 1 : 0;
    localparam WIDE = DATA_WIDTH_A == 36;
    localparam SAME = DATA_WIDTH_A == DATA_WIDTH_B;
    reg [DATA_WIDTH_A-1:0] words [0:(16384 >> SHIFT)-1];

    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
                       DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
                       DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
    wire [35:0] in_a = {dib, dia};
    wire [35:0] in_b = {18'b0, dib};
    wire [13:0] place_a = ada >> SHIFT;
    wire [13:0] place_b = adb >> SHIFT;
    wire [3:0] bytes_a = WIDE ? ada[3:0] : DATA_WIDTH_A == 18 ? {2'b0, ada[1:0]} : 4'b0001;
    wire [3:0] bytes_b = DATA_WIDTH_A == 18 ? {2'b0, adb[1:0]} : 4'b0001;
    reg [35:0] out_a = 0;
    reg [35:0] out_b = 0;

    // The device keeps the old word on the pins in words of 9 and 18 bits alone.
    localparam OLD_A = WRITEMODE_A == "READBEFOREWRITE";
    localparam OLD_B = WRITEMODE_B == "READBEFOREWRITE";
    initial
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CSDECODE_A != "0b000" || CSDECODE_B != "0b000" ||
            CLKAMUX != "CLKA" || CLKBMUX != "CLKB" || !(OLD_A || WRITEMODE_A == "NORMAL") ||
            !(OLD_B || WRITEMODE_B == "NORMAL") || (OLD_A || OLD_B) && DATA_WIDTH_A < 9) begin
            $display("DP16KD: this mode has no model");
            $stop;
        end
    always @* if (RSTA || RSTB || CSA0 || CSA1 || CSA2 || CSB0 || CSB1 || CSB2) begin
        $display("DP16KD: a pin that has no model is used");
        $stop;
    end

    wire writes_a = CEA && WEA && |(bytes_a & (DATA_WIDTH_A >= 18 ? 4'b1111 : 4'b0001));
    wire writes_b = CEB && WEB && SAME && !WIDE && |(bytes_b & (DATA_WIDTH_A >= 18 ? 4'b0011 : 4'b0001));
    wire crossing = place_a == place_b;
    integer i;
    always @(posedge CLKA) if (CEA) begin
        out_a <= words[place_a] ^ {36{writes_a && !OLD_A || writes_b && crossing}};
        for (i = 0; i < 4; i = i + 1)
            if (WEA && bytes_a[i] && 9 * i < DATA_WIDTH_A)
                words[place_a][9 * i +: (DATA_WIDTH_A < 9 ? DATA_WIDTH_A : 9)]
                    <= in_a[9 * i +: (DATA_WIDTH_A < 9 ? DATA_WIDTH_A : 9)];
    end
    always @(posedge CLKB) if (CEB && SAME) begin
        out_b <= words[place_b] ^ {36{writes_b && !OLD_B || writes_a && crossing}};
        for (i = 0; i < 2; i = i + 1)
            if (WEB && !WIDE && bytes_b[i] && 9 * i < DATA_WIDTH_A)
                words[place_b][9 * i +: (DATA_WIDTH_A < 9 ? DATA_WIDTH_A : 9)]
                    <= in_b[9 * i +: (DATA_WIDTH_A < 9 ? DATA_WIDTH_A : 9)];
    end
    wire [17:0] doa = WIDE ? out_b[17:0] : out_a[17:0];
    wire [17:0] dob = WIDE ? out_b[35:18] : SAME ? out_b[17:0] : 18'h2AAAA;
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
            DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = doa;
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
            DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = dob;
endmodule

// Multiplier without its registers and without operand C: Yosys uses none of them.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE",
    parameter REG_INPUTB_CLK = "NONE",
    parameter REG_PIPELINE_CLK = "NONE",
    parameter REG_OUTPUT_CLK = "NONE"
) (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    output P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    wire signed [35:0] wide_a = {{18{SIGNEDA & a[17]}}, a};
    wire signed [35:0] wide_b = {{18{SIGNEDB & b[17]}}, b};
    wire [35:0] p = wide_a * wide_b;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
            P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p;
endmodule
