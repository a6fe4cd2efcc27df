# What the scripts of this folder share. Their procedures stand in a namespace of their own, away
# from the commands of Vivado.

namespace eval ::talon {}

proc ::talon::fail {message} {
    error "TALON: $message"
}

# The newest version of the first of some IP cores that the catalog has. Versions differ between
# releases of Vivado, and none of ours hangs on one.
proc ::talon::newest {args} {
    foreach name $args {
        set found [lsort -dictionary [get_ipdefs -quiet -all "$name:*"]]
        if {[llength $found] > 0} {
            return [lindex $found end]
        }
    }
    fail "the IP catalog has none of: $args"
}

proc ::talon::pins {args} {
    set found {}
    foreach name $args {
        lappend found [get_bd_pins $name]
    }
    return $found
}

proc ::talon::connect {args} {
    connect_bd_net {*}[pins {*}$args]
}

proc ::talon::connect_interfaces {from to} {
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}
