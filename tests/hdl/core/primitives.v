// Behavioral models of two UltraScale+ primitives, as far as the core uses them; written from memory
// of UG579 (DSP48E2) and UG573 (URAM288), and not compared with a vendor's models. What is not
// modelled stops the simulation.

module DSP48E2 #(
    parameter integer AREG = 1, ACASCREG = 1, BREG = 1, BCASCREG = 1, CREG = 1, DREG = 1,
    parameter integer ADREG = 1, MREG = 1, PREG = 1, OPMODEREG = 1, ALUMODEREG = 1,
    parameter integer INMODEREG = 1, CARRYINREG = 1, CARRYINSELREG = 1,
    parameter AMULTSEL = "A", BMULTSEL = "B", PREADDINSEL = "A", A_INPUT = "DIRECT",
    parameter B_INPUT = "DIRECT", USE_MULT = "MULTIPLY", USE_SIMD = "ONE48"
) (
    input CLK,
    input signed [29:0] A, ACIN,
    input signed [17:0] B, BCIN,
    input signed [47:0] C, PCIN,
    input signed [26:0] D,
    input [8:0] OPMODE,
    input [3:0] ALUMODE,
    input [4:0] INMODE,
    input [2:0] CARRYINSEL,
    input CARRYIN, CARRYCASCIN, MULTSIGNIN,
    input CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP,
    input RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP,
    output reg signed [47:0] P,
    output signed [47:0] PCOUT
);
    reg signed [29:0] a1, a2;
    reg signed [17:0] b1, b2;
    reg signed [26:0] d, ad;
    reg signed [47:0] c;
    reg signed [44:0] product;
    reg [8:0] opmode;
    reg [3:0] alumode;
    wire signed [26:0] multiplicand = (AMULTSEL == "AD") ? ad : a2[26:0];
    reg signed [47:0] w, z, xy;

    initial if (CREG != 1 || MREG != 1 || PREG != 1 || OPMODEREG != 1 || ALUMODEREG != 1
                || AREG < 1 || BREG < 1 || BMULTSEL != "B" || PREADDINSEL != "A"
                || USE_MULT != "MULTIPLY" || USE_SIMD != "ONE48"
                || (AMULTSEL == "AD" && (ADREG != 1 || DREG != 1)))
        $fatal(1, "DSP48E2: not modelled");

    always @* begin
        case (opmode[6:4])
            3'b000: z = 0;
            3'b001: z = PCIN;
            3'b010: z = P;
            3'b011: z = c;
            3'b101: z = PCIN >>> 17;
            default: z = 48'hx;
        endcase
        case (opmode[8:7])
            2'b00: w = 0;
            2'b01: w = P;
            2'b11: w = c;
            default: w = 48'hx;
        endcase
        xy = {{3{product[44]}}, product};
    end

    always @(posedge CLK) begin
        if (CEA1) a1 <= A;
        if (CEA2) a2 <= (AREG == 2) ? a1 : A;
        if (CEB1) b1 <= B;
        if (CEB2) b2 <= (BREG == 2) ? b1 : B;
        if (CED) d <= D;
        if (CEAD) ad <= (INMODE[1] ? 27'sd0 : a2[26:0]) + (INMODE[2] ? d : 27'sd0);
        if (CEC) c <= C;
        if (CEM) product <= multiplicand * b2;
        if (CECTRL) opmode <= OPMODE;
        if (CEALUMODE) alumode <= ALUMODE;
        if (RSTP) P <= 0;
        else if (CEP) P <= (alumode == 4'b0011) ? z - (w + xy) : z + w + xy;
    end

    reg [1:0] age = 0;
    always @(posedge CLK) begin
        if (age != 3) age <= age + 1;
        else if (opmode[3:0] != 4'b0101 || (alumode != 4'b0000 && alumode != 4'b0011)
                 || CARRYIN || CARRYINSEL != 0 || INMODE[0] || INMODE[3] || INMODE[4]
                 || RSTA || RSTB || RSTC || RSTD || RSTM || RSTCTRL || RSTALUMODE)
            $fatal(1, "DSP48E2: operation not modelled");
    end
    assign PCOUT = P;
endmodule

module URAM288 #(
    parameter CASCADE_ORDER_A = "NONE", CASCADE_ORDER_B = "NONE",
    parameter [10:0] SELF_ADDR_A = 0, SELF_ADDR_B = 0,
    parameter [10:0] SELF_MASK_A = 11'h7FF, SELF_MASK_B = 11'h7FF,
    parameter integer NUM_UNIQUE_SELF_ADDR_A = 1, NUM_UNIQUE_SELF_ADDR_B = 1,
    parameter integer NUM_URAM_IN_MATRIX = 1,
    parameter OREG_A = "FALSE", OREG_B = "FALSE", REG_CAS_A = "FALSE", REG_CAS_B = "FALSE",
    parameter BWE_MODE_A = "PARITY_INTERLEAVED", BWE_MODE_B = "PARITY_INTERLEAVED",
    parameter EN_AUTO_SLEEP_MODE = "FALSE"
) (
    input CLK, SLEEP,
    input [22:0] ADDR_A, ADDR_B, CAS_IN_ADDR_A, CAS_IN_ADDR_B,
    input [71:0] DIN_A, DIN_B, CAS_IN_DIN_A, CAS_IN_DIN_B, CAS_IN_DOUT_A, CAS_IN_DOUT_B,
    input [8:0] BWE_A, BWE_B, CAS_IN_BWE_A, CAS_IN_BWE_B,
    input EN_A, EN_B, CAS_IN_EN_A, CAS_IN_EN_B, RDB_WR_A, RDB_WR_B,
    input CAS_IN_RDB_WR_A, CAS_IN_RDB_WR_B, OREG_CE_A, OREG_CE_B, RST_A, RST_B,
    input CAS_IN_DBITERR_A, CAS_IN_DBITERR_B, CAS_IN_SBITERR_A, CAS_IN_SBITERR_B,
    input CAS_IN_RDACCESS_A, CAS_IN_RDACCESS_B,
    output [71:0] DOUT_A, DOUT_B, CAS_OUT_DOUT_A, CAS_OUT_DOUT_B, CAS_OUT_DIN_A, CAS_OUT_DIN_B,
    output [22:0] CAS_OUT_ADDR_A, CAS_OUT_ADDR_B,
    output [8:0] CAS_OUT_BWE_A, CAS_OUT_BWE_B,
    output CAS_OUT_EN_A, CAS_OUT_EN_B, CAS_OUT_RDB_WR_A, CAS_OUT_RDB_WR_B,
    output CAS_OUT_DBITERR_A, CAS_OUT_DBITERR_B, CAS_OUT_SBITERR_A, CAS_OUT_SBITERR_B,
    output CAS_OUT_RDACCESS_A, CAS_OUT_RDACCESS_B
);
    reg [71:0] words [0:4095];
    localparam HEAD = CASCADE_ORDER_A == "NONE" || CASCADE_ORDER_A == "FIRST";
    wire [22:0] addr_a = HEAD ? ADDR_A : CAS_IN_ADDR_A, addr_b = HEAD ? ADDR_B : CAS_IN_ADDR_B;
    wire [71:0] din_a = HEAD ? DIN_A : CAS_IN_DIN_A, din_b = HEAD ? DIN_B : CAS_IN_DIN_B;
    wire [8:0] bwe_a = HEAD ? BWE_A : CAS_IN_BWE_A, bwe_b = HEAD ? BWE_B : CAS_IN_BWE_B;
    wire en_a = HEAD ? EN_A : CAS_IN_EN_A, en_b = HEAD ? EN_B : CAS_IN_EN_B;
    wire write_a = HEAD ? RDB_WR_A : CAS_IN_RDB_WR_A, write_b = HEAD ? RDB_WR_B : CAS_IN_RDB_WR_B;
    wire mine_a = en_a && ((addr_a[22:12] ^ SELF_ADDR_A) & ~SELF_MASK_A) == 0;
    wire mine_b = en_b && ((addr_b[22:12] ^ SELF_ADDR_B) & ~SELF_MASK_B) == 0;
    reg [71:0] read_a, read_b, out_a, out_b;
    reg [1:0] access_a, access_b;

    initial if (OREG_A != "TRUE" || OREG_B != "TRUE" || REG_CAS_A != "FALSE" || REG_CAS_B != "FALSE"
                || BWE_MODE_A != "PARITY_INDEPENDENT" || BWE_MODE_B != "PARITY_INDEPENDENT"
                || CASCADE_ORDER_A != CASCADE_ORDER_B)
        $fatal(1, "URAM288: not modelled");

    integer i;
    always @(posedge CLK) begin
        access_a <= {access_a[0], mine_a && !write_a};
        access_b <= {access_b[0], mine_b && !write_b};
        if (mine_a && !write_a) read_a <= words[addr_a[11:0]];
        if (mine_b && !write_b) read_b <= words[addr_b[11:0]];
        if (OREG_CE_A) out_a <= read_a;
        if (OREG_CE_B) out_b <= read_b;
        for (i = 0; i < 8; i = i + 1) begin
            if (mine_a && write_a && bwe_a[i]) words[addr_a[11:0]][8 * i +: 8] <= din_a[8 * i +: 8];
            if (mine_b && write_b && bwe_b[i]) words[addr_b[11:0]][8 * i +: 8] <= din_b[8 * i +: 8];
        end
    end
    assign DOUT_A = HEAD || access_a[1] ? out_a : CAS_IN_DOUT_A;
    assign DOUT_B = HEAD || access_b[1] ? out_b : CAS_IN_DOUT_B;
    assign CAS_OUT_DOUT_A = DOUT_A, CAS_OUT_DOUT_B = DOUT_B;
    assign CAS_OUT_ADDR_A = addr_a, CAS_OUT_ADDR_B = addr_b;
    assign CAS_OUT_DIN_A = din_a, CAS_OUT_DIN_B = din_b;
    assign CAS_OUT_BWE_A = bwe_a, CAS_OUT_BWE_B = bwe_b;
    assign CAS_OUT_EN_A = en_a, CAS_OUT_EN_B = en_b;
    assign CAS_OUT_RDB_WR_A = write_a, CAS_OUT_RDB_WR_B = write_b;
    assign CAS_OUT_DBITERR_A = 0, CAS_OUT_DBITERR_B = 0;
    assign CAS_OUT_SBITERR_A = 0, CAS_OUT_SBITERR_B = 0;
    assign CAS_OUT_RDACCESS_A = access_a[1], CAS_OUT_RDACCESS_B = access_b[1];
endmodule
