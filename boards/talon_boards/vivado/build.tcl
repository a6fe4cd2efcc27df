# Make bitstream and hardware handoff: vivado -mode batch -source build.tcl [-tclargs JOBS]
#
# settings.tcl beside this file tells the board and the array. The project is made anew under
# project/, reports go to reports/, and what the board needs stands in this folder in the end:
# two files of one name, .bit and .hwh.

set here [file dirname [file normalize [info script]]]
set jobs [expr {[llength $argv] > 0 ? [lindex $argv 0] : 2}]
source [file join $here settings.tcl]
source [file join $here common.tcl]
source [file join $here block_design.tcl]

# The newest board files of the board that this Vivado has. Without them the processing system
# would not know its memory, so there is nothing to go on with.
proc ::talon::choose_board {} {
    global board board_part board_files
    if {[info exists ::env(TALON_BOARD_FILES)]} {
        set_param board.repoPaths [split $::env(TALON_BOARD_FILES) :]
    }
    set found [lsort -dictionary [get_board_parts -quiet "$board_part:*"]]
    if {[llength $found] == 0} {
        fail "no board files for $board ($board_part) are installed; they come from $board_files.\
            Install them, or set TALON_BOARD_FILES to the folder that holds them"
    }
    set_property board_part [lindex $found end] [current_project]
}

# What the profile of the board says of the device, against what Vivado says.
proc ::talon::compare_resources {} {
    global part expected
    foreach {name number} $expected {
        set found [get_property -quiet $name [get_parts $part]]
        if {$found ne "" && $found != $number} {
            puts "WARNING: TALON: $part has $name $found, the profile of the board says $number"
        }
    }
}

# The packaged array, from ip/. If this Vivado does not take it up, it is packaged anew from the
# same Verilog under the same name.
proc ::talon::load_array {} {
    global here ip_vlnv
    set_property ip_repo_paths [list [file join $here ip]] [current_project]
    update_ip_catalog
    if {[llength [get_ipdefs -quiet $ip_vlnv]] == 0} {
        puts "WARNING: TALON: ip/component.xml was not taken up; packaging the array anew"
        source [file join $here package_ip.tcl]
        package_array [file join $here project packaged]
        set_property ip_repo_paths [list [file join $here project packaged]] [current_project]
        update_ip_catalog -rebuild
    }
    if {[llength [get_ipdefs -quiet $ip_vlnv]] == 0} {
        fail "the IP catalog has no $ip_vlnv; look for messages of IP_Flow above"
    }
}

proc ::talon::implement {} {
    global here basename jobs
    set design [get_files "$basename.bd"]
    generate_target all $design
    add_files -norecurse [make_wrapper -files $design -top]
    set_property top "${basename}_wrapper" [current_fileset]
    add_files -fileset constrs_1 -norecurse [file join $here constraints.xdc]
    update_compile_order -fileset sources_1
    set_property strategy Performance_ExplorePostRoutePhysOpt [get_runs impl_1]
    launch_runs impl_1 -to_step write_bitstream -jobs $jobs
    wait_on_run [get_runs impl_1]
    if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
        fail "implementation ended with '[get_property STATUS [get_runs impl_1]]'; see vivado.log"
    }
}

proc ::talon::report {} {
    global here
    open_run impl_1
    set folder [file join $here reports]
    file mkdir $folder
    report_utilization -file [file join $folder utilization.txt]
    report_utilization -hierarchical -hierarchical_depth 6 \
        -file [file join $folder utilization_by_module.txt]
    report_timing_summary -file [file join $folder timing.txt]
    report_power -file [file join $folder power.txt]
    report_drc -file [file join $folder drc.txt]
}

# Nothing is handed over that does not meet timing.
proc ::talon::deliver {} {
    global here basename clock_mhz clock_hz
    set run [get_runs impl_1]
    set wns [get_property STATS.WNS $run]
    set whs [get_property STATS.WHS $run]
    set met [expr {$wns >= 0 && $whs >= 0}]
    set summary [open [file join $here reports summary.json] w]
    puts $summary "{\"timing_met\": [expr {$met ? "true" : "false"}], \"wns_ns\": $wns,\
        \"whs_ns\": $whs, \"clock_hz\": $clock_hz}"
    close $summary
    if {!$met} {
        fail "timing is not met at $clock_mhz MHz (WNS $wns ns, WHS $whs ns); build again with a\
            lower --clock, see reports/timing.txt"
    }
    set handoff [find_handoff]
    set bit [file join [get_property DIRECTORY $run] "${basename}_wrapper.bit"]
    file copy -force $bit [file join $here "$basename.bit"]
    file copy -force $handoff [file join $here "$basename.hwh"]
    puts "TALON: $basename.bit and $basename.hwh, WNS $wns ns at $clock_hz Hz"
}

# Vivado keeps it under .gen since 2020.2 and kept it under .srcs before.
proc ::talon::find_handoff {} {
    global here basename
    foreach kind {gen srcs} {
        set folder [file join $here project "talon.$kind" sources_1 bd $basename hw_handoff]
        set path [file join $folder "$basename.hwh"]
        if {[file exists $path]} {
            return $path
        }
    }
    fail "Vivado wrote no $basename.hwh under project/talon.gen or project/talon.srcs"
}

file delete [file join $here "$basename.bit"] [file join $here "$basename.hwh"]
create_project -force talon [file join $here project] -part $part
talon::choose_board
talon::compare_resources
set_property target_language Verilog [current_project]
talon::load_array
talon::create_design
talon::implement
talon::report
talon::deliver
close_project
