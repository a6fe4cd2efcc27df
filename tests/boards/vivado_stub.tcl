# A stand-in for Vivado that knows just enough of a block design to refuse a wrong one.
#
#   tclsh vivado_stub.tcl -mode batch ... -source build.tcl -tclargs 2
#
# It runs the script, writes every command as a line of JSON to $TALON_RECORD, and keeps cells, pins
# and addresses: a name, property or connection that the IP cores have not is an error, as there.
# Ports of cores are those of PG201, PG021, PG247, PG164, PG099; those of the array come from
# ip/component.xml. What goes wrong is chosen by variables: STUB_WITHOUT (patterns of cores that the
# catalog lacks), STUB_NO_BOARDS, STUB_WNS, STUB_PROGRESS, STUB_HANDOFF (gen or srcs).

proc setting {name default} {
    expr {[info exists ::env($name)] ? $::env($name) : $default}
}

proc json {text} {
    return "\"[string map [list \\ \\\\ \" \\\" \n \\n \t \\t] $text]\""
}

set record [open [setting TALON_RECORD /dev/null] w]

proc note {args} {
    puts $::record "\[[join [lmap word $args {json $word}] ,]\]"
    flush $::record
}

# A recorded command: its body sees options (-name value; flags are 1) in `opt`, the rest in `rest`.
namespace eval ipx {}

proc vivado {name flags body} {
    proc $name args [string map [list @NAME@ $name @FLAGS@ $flags @BODY@ $body] {
        note @NAME@ {*}$args
        array set opt {}
        set rest {}
        for {set i 0} {$i < [llength $args]} {incr i} {
            set word [lindex $args $i]
            if {![regexp {^-[a-z_]+$} $word]} {
                lappend rest $word
            } elseif {$word in {@FLAGS@}} {
                set opt($word) 1
            } else {
                incr i
                set opt($word) [lindex $args $i]
            }
        }
        @BODY@
    }]
}

set catalog {
    xilinx.com:ip:zynq_ultra_ps_e:3.4 xilinx.com:ip:zynq_ultra_ps_e:3.5
    xilinx.com:ip:axi_dma:7.1 xilinx.com:ip:smartconnect:1.0 xilinx.com:ip:proc_sys_reset:5.0
    xilinx.com:ip:axi_intc:4.1 xilinx.com:ip:xlconcat:2.1 xilinx.com:inline_hdl:ilconcat:1.0
}
foreach pattern [setting STUB_WITHOUT ""] {
    set catalog [lmap vlnv $catalog {
        if {[string match $pattern $vlnv]} continue
        set vlnv
    }]
}
set boards {
    avnet.com:ultra96v2:part0:1.1 avnet.com:ultra96v2:part0:1.2
    realdigital.org:aup-zu3-8gb:part0:1.0 realdigital.org:aup-zu3-4gb:part0:1.0
    realdigital.org:rfsoc4x2:part0:1.0 tul.com.tw:pynqzu:part0:1.1
    xilinx.com:kv260_som:part0:1.3 xilinx.com:kv260_som:part0:1.4
    xilinx.com:kr260_som:part0:1.1 xilinx.com:zcu104:part0:1.0 xilinx.com:zcu104:part0:1.1
}

# What each core has: interfaces by mode, then pins by direction, then properties.
set cores(zynq_ultra_ps_e) {
    master {M_AXI_HPM0_FPD PSU__USE__M_AXI_GP0 M_AXI_HPM1_FPD PSU__USE__M_AXI_GP1
            M_AXI_HPM0_LPD PSU__USE__M_AXI_GP2}
    slave {S_AXI_HP0_FPD PSU__USE__S_AXI_GP2}
    in {maxihpm0_fpd_aclk PSU__USE__M_AXI_GP0 maxihpm1_fpd_aclk PSU__USE__M_AXI_GP1
        maxihpm0_lpd_aclk PSU__USE__M_AXI_GP2 saxihp0_fpd_aclk PSU__USE__S_AXI_GP2
        pl_ps_irq0 PSU__USE__IRQ0}
    out {pl_clk0 PSU__FPGA_PL0_ENABLE pl_resetn0 PSU__USE__FABRIC__RST}
    properties {PSU__OVERRIDE__BASIC_CLOCK PSU__FPGA_PL0_ENABLE PSU__USE__FABRIC__RST
        PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ PSU__NUM_FABRIC_RESETS PSU__USE__M_AXI_GP0
        PSU__USE__M_AXI_GP1 PSU__USE__M_AXI_GP2 PSU__MAXIGP0__DATA_WIDTH PSU__USE__S_AXI_GP2
        PSU__SAXIGP2__DATA_WIDTH PSU__USE__IRQ0}
}
set cores(axi_dma) {
    master {M_AXI_MM2S c_include_mm2s M_AXI_S2MM c_include_s2mm M_AXIS_MM2S c_include_mm2s
            M_AXI_SG c_include_sg}
    slave {S_AXI_LITE {} S_AXIS_S2MM c_include_s2mm}
    in {s_axi_lite_aclk {} m_axi_mm2s_aclk c_include_mm2s m_axi_s2mm_aclk c_include_s2mm
        m_axi_sg_aclk c_include_sg axi_resetn {}}
    out {mm2s_introut c_include_mm2s s2mm_introut c_include_s2mm}
    properties {c_include_sg c_sg_include_stscntrl_strm c_sg_length_width c_addr_width
        c_include_mm2s c_include_mm2s_dre c_m_axi_mm2s_data_width c_m_axis_mm2s_tdata_width
        c_mm2s_burst_size c_include_s2mm c_include_s2mm_dre c_m_axi_s2mm_data_width
        c_s_axis_s2mm_tdata_width c_s2mm_burst_size}
}
set cores(smartconnect) {master {} slave {} in {aclk {} aresetn {}} out {} properties {NUM_SI NUM_MI}}
set cores(proc_sys_reset) {
    master {} slave {} in {slowest_sync_clk {} ext_reset_in {}}
    out {interconnect_aresetn {} peripheral_aresetn {}} properties {}
}
set cores(axi_intc) {
    master {} slave {s_axi {}} in {s_axi_aclk {} s_axi_aresetn {} intr {}} out {irq {}}
    properties {C_IRQ_CONNECTION}
}
set cores(xlconcat) {master {} slave {} in {} out {dout {}} properties {NUM_PORTS}}
set cores(ilconcat) $cores(xlconcat)

# -- The design: core and properties of each cell, what each pin is connected to.

set projects {}
array set cell_core {}
array set cell_property {}
array set net {}
set addresses {}

proc has {cell condition} {
    expr {$condition eq "" || [set ::cell_property($cell,$condition)] == 1}
}

proc present {cell kind} {
    set core $::cell_core($cell)
    set found {}
    foreach {name condition} [dict get $::cores($core) $kind] {
        if {[has $cell $condition]} {
            lappend found $name
        }
    }
    set numbers {slave NUM_SI S%02d_AXI master NUM_MI M%02d_AXI in NUM_PORTS In%d}
    foreach {of property format} $numbers {
        if {$of eq $kind && [info exists ::cell_property($cell,$property)]} {
            for {set i 0} {$i < $::cell_property($cell,$property)} {incr i} {
                lappend found [format $format $i]
            }
        }
    }
    return $found
}

proc kind_of {pin kinds} {
    lassign [split $pin /] cell name
    if {![info exists ::cell_core($cell)]} {
        error "there is no cell $cell"
    }
    foreach kind $kinds {
        if {$name in [present $cell $kind]} {
            return $kind
        }
    }
    error "cell $cell ($::cell_core($cell)) has no [join $kinds /] pin $name"
}

proc join_net {pins driver} {
    set drivers 0
    foreach pin $pins {
        set kind [kind_of $pin [expr {$driver eq "out" ? {in out} : {slave master}}]]
        incr drivers [expr {$kind eq $driver}]
        if {[info exists ::net($pin)]} {
            error "$pin is connected already"
        }
        set ::net($pin) 1
    }
    if {$drivers != 1} {
        error "a net must have one driver, not $drivers: $pins"
    }
}

# -- Commands on projects and files.

vivado create_project {-force} {
    lassign $rest name ::project_folder
    lappend ::projects $name $::project_folder
    set ::project $name
    file mkdir $::project_folder
}
vivado current_project {} {
    if {[llength $rest]} {
        set ::project [lindex $rest 0]
        set ::project_folder [dict get $::projects $::project]
    }
    return $::project
}
vivado close_project {} {
    set ::projects [dict remove $::projects $::project]
    set ::project ""
}
vivado set_param {} {}
vivado get_parts {} {return "part [lindex $rest 0]"}
vivado get_board_parts {-quiet} {
    if {[info exists ::env(STUB_NO_BOARDS)]} return
    return [lsearch -all -inline -glob $::boards [lindex $rest 0]]
}
vivado add_files {-norecurse} {
    foreach path [lindex $rest 0] {
        if {![file exists $path]} {error "there is no file $path"}
    }
}
vivado update_compile_order {} {}
vivado current_fileset {} {return sources_1}
vivado get_files {} {return $rest}
vivado make_wrapper {-top} {
    set path [file join $::project_folder "$::design_name\_wrapper.v"]
    close [open $path w]
    return $path
}
vivado update_ip_catalog {-rebuild} {
    foreach folder $::ip_repos {
        set path [file join $folder component.xml]
        if {[file exists $path] && "ip" ni [setting STUB_WITHOUT ""] || [file tail $folder] eq "packaged"} {
            learn $path
        }
    }
}
proc learn {path} {
    set file [open $path]
    set text [read $file]
    close $file
    set vlnv {}
    foreach name {vendor library name version} {
        regexp "<spirit:$name>(.*?)</spirit:$name>" $text all value
        lappend vlnv $value
    }
    set found [dict create master {} slave {} in {} out {} properties {}]
    foreach {all body} [regexp -all -inline {<spirit:busInterface>(.*?)</spirit:busInterface>} $text] {
        regexp {<spirit:name>(.*?)</spirit:name>} $body all name
        set is_slave [string match *<spirit:slave* $body]
        if {[string match {*library="signal"*} $body]} {
            dict lappend found [expr {$is_slave ? "in" : "out"}] $name {}
        } else {
            dict lappend found [expr {$is_slave ? "slave" : "master"}] $name {}
        }
    }
    set ::cores([lindex $vlnv 2]) $found
    lappend ::catalog [join $vlnv :]
}
vivado get_ipdefs {-quiet -all} {
    return [lsearch -all -inline -glob $::catalog [lindex $rest 0]]
}

# -- Commands on the block design.

vivado create_bd_design {} {set ::design_name [lindex $rest 0]}
vivado create_bd_cell {} {
    if {$opt(-vlnv) ni $::catalog} {error "the catalog has no $opt(-vlnv)"}
    lassign [split $opt(-vlnv) :] vendor library core version
    set inline [expr {$library eq "inline_hdl"}]
    if {$opt(-type) ne [expr {$inline ? "inline_hdl" : "ip"}]} {error "wrong type of $opt(-vlnv)"}
    set cell [lindex $rest 0]
    set ::cell_core($cell) $core
    foreach property [dict get $::cores($core) properties] {
        set ::cell_property($cell,$property) 0
    }
    return $cell
}
vivado apply_bd_automation {} {}
proc existing {names} {
    foreach name $names {
        if {![info exists ::cell_core($name)]} {error "there is no cell $name"}
    }
    return $names
}
vivado get_bd_cells {} {existing $rest}
vivado get_bd_pins {} {
    if {[info exists ::implemented]} {error "no block design is open"}
    return $rest
}
vivado get_bd_intf_pins {} {return $rest}
vivado connect_bd_net {} {join_net $rest out}
vivado connect_bd_intf_net {} {
    if {[llength [lsearch -all -nocase $rest */*_axis*]] == 1} {
        error "a stream does not fit a memory-mapped bus: $rest"
    }
    join_net $rest master
}
vivado get_bd_addr_spaces {} {
    lassign [split [lindex $rest 0] /] cell name
    existing $cell
    set known {zynq_ultra_ps_e Data axi_dma Data_MM2S axi_dma Data_S2MM}
    foreach {core space} $known {
        if {$::cell_core($cell) eq $core && $space eq $name} {return $rest}
    }
    error "there is no address space $rest"
}
vivado get_bd_addr_segs {} {
    set all {}
    foreach {cell core} [array get ::cell_core] {
        switch $core {
            zynq_ultra_ps_e {
                foreach name {HP0_DDR_LOW HP0_DDR_HIGH HP0_LPS_OCM HP0_QSPI} {
                    lappend all $cell/SAXIGP2/$name
                }
            }
            axi_dma {lappend all $cell/S_AXI_LITE/Reg}
            axi_intc {lappend all $cell/S_AXI/Reg}
            talon_array {lappend all $cell/s_axil/reg0}
        }
    }
    set found [lsort [lsearch -all -inline -glob $all [lindex $rest 0]]]
    if {[llength $found] == 0} {error "there is no address segment [lindex $rest 0]"}
    return $found
}
vivado assign_bd_address {} {
    if {[llength $rest] != 1} {error "one segment a call, not $rest"}
    if {[info exists opt(-offset)]} {
        set size [expr [string map {K *1024} $opt(-range)]]
        set first [expr {$opt(-offset)}]
        if {$first % $size} {error "$opt(-offset) is not aligned to $opt(-range)"}
        foreach {low high} $::addresses {
            if {$first < $high && $first + $size > $low} {error "addresses of $rest overlap"}
        }
        lappend ::addresses $first [expr {$first + $size}]
    }
}
vivado exclude_bd_addr_seg {} {}
vivado validate_bd_design {} {
    foreach cell [array names ::cell_core] {
        foreach kind {master slave in} {
            foreach name [present $cell $kind] {
                if {![info exists ::net($cell/$name)]} {error "$cell/$name is not connected"}
            }
        }
    }
}
vivado save_bd_design {} {}

# -- Runs, reports, properties.

vivado generate_target {} {
    set parts [list "talon.[setting STUB_HANDOFF gen]" sources_1 bd $::design_name hw_handoff]
    set folder [file join $::project_folder {*}$parts]
    file mkdir $folder
    set file [open [file join $folder "$::design_name.hwh"] w]
    puts $file "<!-- handoff of $::design_name -->"
    close $file
}
vivado get_runs {} {return "run [lindex $rest 0]"}
vivado launch_runs {} {
    set folder [file join $::project_folder talon.runs impl_1]
    file mkdir $folder
    set file [open [file join $folder "$::top_module.bit"] w]
    puts $file "bitstream of $::top_module"
    close $file
}
vivado wait_on_run {} {}
vivado open_run {} {set ::implemented 1}
foreach name {utilization timing_summary power drc} {
    vivado report_$name {-hierarchical} {
        set file [open $opt(-file) w]
        puts $file report
        close $file
    }
}
vivado get_property {-quiet} {
    lassign $rest name of
    switch -glob -- $name {
        PROGRESS {return [setting STUB_PROGRESS 100%]}
        STATUS {return "write_bitstream [setting STUB_PROGRESS Complete!]"}
        STATS.WNS {return [setting STUB_WNS 0.125]}
        STATS.WHS {return 0.011}
        DIRECTORY {return [file join $::project_folder talon.runs impl_1]}
        CONFIG.FREQ_HZ {return 249997498}
        LUT_ELEMENTS {return 1000}
        FLIPFLOPS - BLOCK_RAMS - ULTRA_RAMS - DSP {return ""}
        default {error "there is no property $name"}
    }
}
vivado set_property {} {
    if {[info exists opt(-dict)]} {
        set pairs $opt(-dict)
        set of [lindex $rest 0]
    } else {
        set of [lindex $rest end]
        set pairs [lrange $rest 0 end-1]
    }
    foreach {name value} $pairs {
        if {$name eq "ip_repo_paths"} {set ::ip_repos $value}
        if {$name eq "top"} {set ::top_module $value}
        if {[regexp {^CONFIG\.(.*)$} $name all property]} {
            if {![info exists ::cell_property($of,$property)]} {error "$of has no property $property"}
            set ::cell_property($of,$property) $value
        }
    }
}

# -- The packager: it writes what update_ip_catalog reads.

vivado ipx::package_project {-import_files -force} {
    file mkdir $opt(-root_dir)
    file copy -force [file join [file dirname $::script] ip component.xml] $opt(-root_dir)
}
vivado ipx::current_core {} {return core}
foreach name {associate_bus_interfaces create_xgui_files update_checksums save_core} {
    vivado ipx::$name {} {}
}

set at [lsearch $argv -source]
set script [file normalize [lindex $argv [expr {$at + 1}]]]
set argv [lrange $argv [expr {[lsearch $argv -tclargs] + 1}] end]
source $script
