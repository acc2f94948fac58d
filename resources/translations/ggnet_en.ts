<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="en">
    <context>
        <name />
        <message numerus="yes">
            <source>%n (differs|differ), {total} in all</source>
            <translation>
                <numerusform>%n differs, {total} in all</numerusform>
                <numerusform>%n differ, {total} in all</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n day(s)</source>
            <translation>
                <numerusform>%n day</numerusform>
                <numerusform>%n days</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n entr(y|ies)</source>
            <translation>
                <numerusform>%n entry</numerusform>
                <numerusform>%n entries</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n entr(y|ies) removed from the audit trail.</source>
            <translation>
                <numerusform>%n entry removed from the audit trail.</numerusform>
                <numerusform>%n entries removed from the audit trail.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n entr(y|ies) written to {path}.</source>
            <translation>
                <numerusform>%n entry written to {path}.</numerusform>
                <numerusform>%n entries written to {path}.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n failed sign-in(s)</source>
            <translation>
                <numerusform>%n failed sign-in</numerusform>
                <numerusform>%n failed sign-ins</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n field(s) (differs|differ)</source>
            <translation>
                <numerusform>%n field differs</numerusform>
                <numerusform>%n fields differ</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n field(s) to decide</source>
            <translation>
                <numerusform>%n field to decide</numerusform>
                <numerusform>%n fields to decide</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n hour(s)</source>
            <translation>
                <numerusform>%n hour</numerusform>
                <numerusform>%n hours</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n image(s)</source>
            <translation>
                <numerusform>%n image</numerusform>
                <numerusform>%n images</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n initiator(s)</source>
            <translation>
                <numerusform>%n initiator</numerusform>
                <numerusform>%n initiators</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n job(s)</source>
            <translation>
                <numerusform>%n job</numerusform>
                <numerusform>%n jobs</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n machine(s)</source>
            <translation>
                <numerusform>%n machine</numerusform>
                <numerusform>%n machines</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n machine(s) (is|are) still being served; see the Jobs page for why.</source>
            <translation>
                <numerusform>%n machine is still being served; see the Jobs page for why.</numerusform>
                <numerusform>%n machines are still being served; see the Jobs page for why.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n machine(s) still (runs|run) from this computer</source>
            <translation>
                <numerusform>%n machine still runs from this computer</numerusform>
                <numerusform>%n machines still run from this computer</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n made by hand, left alone</source>
            <translation>
                <numerusform>%n made by hand, left alone</numerusform>
                <numerusform>%n made by hand, left alone</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n of {asked} machines (was|were) left as (it|they) (is|are)</source>
            <translation>
                <numerusform>%n of {asked} machines was left as it is</numerusform>
                <numerusform>%n of {asked} machines were left as they are</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n open</source>
            <comment>sessions</comment>
            <translation>
                <numerusform>%n open</numerusform>
                <numerusform>%n open</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n open</source>
            <comment>jobs</comment>
            <translation>
                <numerusform>%n open</numerusform>
                <numerusform>%n open</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n second(s)</source>
            <translation>
                <numerusform>%n second</numerusform>
                <numerusform>%n seconds</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n session(s)</source>
            <translation>
                <numerusform>%n session</numerusform>
                <numerusform>%n sessions</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n session(s) open: stop (it|them) first.</source>
            <translation>
                <numerusform>%n session open: stop it first.</numerusform>
                <numerusform>%n sessions open: stop them first.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n session(s) started again.</source>
            <translation>
                <numerusform>%n session started again.</numerusform>
                <numerusform>%n sessions started again.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n setting(s)</source>
            <translation>
                <numerusform>%n setting</numerusform>
                <numerusform>%n settings</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n target(s)</source>
            <translation>
                <numerusform>%n target</numerusform>
                <numerusform>%n targets</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n target(s) (differs|differ) from what is wanted.</source>
            <translation>
                <numerusform>%n target differs from what is wanted.</numerusform>
                <numerusform>%n targets differ from what is wanted.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n target(s) left: a machine would lose its disk. See the plan.</source>
            <translation>
                <numerusform>%n target left: a machine would lose its disk. See the plan.</numerusform>
                <numerusform>%n targets left: a machine would lose its disk. See the plan.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n target(s) on {host} as before.</source>
            <translation>
                <numerusform>%n target on {host} as before.</numerusform>
                <numerusform>%n targets on {host} as before.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n target(s) on {host} changed.</source>
            <translation>
                <numerusform>%n target on {host} changed.</numerusform>
                <numerusform>%n targets on {host} changed.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n target(s) on {host} repaired.</source>
            <translation>
                <numerusform>%n target on {host} repaired.</numerusform>
                <numerusform>%n targets on {host} repaired.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n target(s) would be changed. Nothing is changed yet.</source>
            <translation>
                <numerusform>%n target would be changed. Nothing is changed yet.</numerusform>
                <numerusform>%n targets would be changed. Nothing is changed yet.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n times, last {ago}</source>
            <translation>
                <numerusform>%n times, last {ago}</numerusform>
                <numerusform>%n times, last {ago}</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n to add</source>
            <translation>
                <numerusform>%n to add</numerusform>
                <numerusform>%n to add</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n to change</source>
            <translation>
                <numerusform>%n to change</numerusform>
                <numerusform>%n to change</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n to remove</source>
            <translation>
                <numerusform>%n to remove</numerusform>
                <numerusform>%n to remove</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n user(s)</source>
            <translation>
                <numerusform>%n user</numerusform>
                <numerusform>%n users</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>%n with a problem, {total} in all</source>
            <translation>
                <numerusform>%n with a problem, {total} in all</numerusform>
                <numerusform>%n with a problem, {total} in all</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>(Its|Their) file(s) (goes|go) from the storage host ({size}). This cannot be undone.</source>
            <translation>
                <numerusform>Its file goes from the storage host ({size}). This cannot be undone.</numerusform>
                <numerusform>Their files go from the storage host ({size}). This cannot be undone.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>(Its|Their) history of sessions goes with (it|them). This cannot be undone.</source>
            <translation>
                <numerusform>Its history of sessions goes with it. This cannot be undone.</numerusform>
                <numerusform>Their history of sessions goes with them. This cannot be undone.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Apply %n change(s)</source>
            <translation>
                <numerusform>Apply %n change</numerusform>
                <numerusform>Apply %n changes</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Apply %n change(s), cut off {machines}</source>
            <translation>
                <numerusform>Apply %n change, cut off {machines}</numerusform>
                <numerusform>Apply %n changes, cut off {machines}</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>At least %n character(s) (is|are) needed.</source>
            <translation>
                <numerusform>At least %n character is needed.</numerusform>
                <numerusform>At least %n characters are needed.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>At least %n character(s).</source>
            <translation>
                <numerusform>At least %n character.</numerusform>
                <numerusform>At least %n characters.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>At most %n byte(s) (is|are) possible.</source>
            <translation>
                <numerusform>At most %n byte is possible.</numerusform>
                <numerusform>At most %n bytes are possible.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Cancel %n job(s)</source>
            <translation>
                <numerusform>Cancel %n job</numerusform>
                <numerusform>Cancel %n jobs</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Change %n machine(s)</source>
            <translation>
                <numerusform>Change %n machine</numerusform>
                <numerusform>Change %n machines</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Change %n machine(s) too</source>
            <translation>
                <numerusform>Change %n machine too</numerusform>
                <numerusform>Change %n machines too</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Delete %n image(s)</source>
            <translation>
                <numerusform>Delete %n image</numerusform>
                <numerusform>Delete %n images</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Delete %n machine(s)</source>
            <translation>
                <numerusform>Delete %n machine</numerusform>
                <numerusform>Delete %n machines</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Disable %n user(s)</source>
            <translation>
                <numerusform>Disable %n user</numerusform>
                <numerusform>Disable %n users</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Edit %n machine(s)</source>
            <translation>
                <numerusform>Edit %n machine</numerusform>
                <numerusform>Edit %n machines</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Keep serving %n machine(s)</source>
            <translation>
                <numerusform>Keep serving %n machine</numerusform>
                <numerusform>Keep serving %n machines</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Lock %n user(s)</source>
            <translation>
                <numerusform>Lock %n user</numerusform>
                <numerusform>Lock %n users</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Make %n target(s) again what (it|they) (was|were) before the last apply?</source>
            <translation>
                <numerusform>Make %n target again what it was before the last apply?</numerusform>
                <numerusform>Make %n targets again what they were before the last apply?</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Part of an object's or field's name or of a value, %n character(s) at least</source>
            <translation>
                <numerusform>Part of an object's or field's name or of a value, %n character at least</numerusform>
                <numerusform>Part of an object's or field's name or of a value, %n characters at least</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Remove %n entr(y|ies)</source>
            <translation>
                <numerusform>Remove %n entry</numerusform>
                <numerusform>Remove %n entries</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Remove %n entr(y|ies) of the audit trail?</source>
            <translation>
                <numerusform>Remove %n entry of the audit trail?</numerusform>
                <numerusform>Remove %n entries of the audit trail?</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Remove %n target(s)</source>
            <translation>
                <numerusform>Remove %n target</numerusform>
                <numerusform>Remove %n targets</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Repair %n target(s)</source>
            <translation>
                <numerusform>Repair %n target</numerusform>
                <numerusform>Repair %n targets</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Revoke %n sign-in(s)</source>
            <translation>
                <numerusform>Revoke %n sign-in</numerusform>
                <numerusform>Revoke %n sign-ins</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Revoke %n sign-in(s) of {users}?</source>
            <translation>
                <numerusform>Revoke %n sign-in of {users}?</numerusform>
                <numerusform>Revoke %n sign-ins of {users}?</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Start %n session(s)</source>
            <translation>
                <numerusform>Start %n session</numerusform>
                <numerusform>Start %n sessions</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Start %n session(s) again</source>
            <translation>
                <numerusform>Start %n session again</numerusform>
                <numerusform>Start %n sessions again</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Stop %n machine(s)</source>
            <translation>
                <numerusform>Stop %n machine</numerusform>
                <numerusform>Stop %n machines</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Stop %n session(s)</source>
            <translation>
                <numerusform>Stop %n session</numerusform>
                <numerusform>Stop %n sessions</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Stop the session(s) of {names}?</source>
            <translation>
                <numerusform>Stop the session of {names}?</numerusform>
                <numerusform>Stop the sessions of {names}?</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>The last %n day(s) cannot be removed (setting “{setting}”).</source>
            <translation>
                <numerusform>The last %n day cannot be removed (setting “{setting}”).</numerusform>
                <numerusform>The last %n days cannot be removed (setting “{setting}”).</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>The other %n (is|are) changed.</source>
            <translation>
                <numerusform>The other %n is changed.</numerusform>
                <numerusform>The other %n are changed.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>They had last: {images} and %n more.</source>
            <translation>
                <numerusform>They had last: {images} and %n more.</numerusform>
                <numerusform>They had last: {images} and %n more.</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Type %n character(s) to search</source>
            <translation>
                <numerusform>Type %n character to search</numerusform>
                <numerusform>Type %n characters to search</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Unlock %n user(s)</source>
            <translation>
                <numerusform>Unlock %n user</numerusform>
                <numerusform>Unlock %n users</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>and %n more cause(s)</source>
            <translation>
                <numerusform>and %n more cause</numerusform>
                <numerusform>and %n more causes</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>{changes} and %n more</source>
            <translation>
                <numerusform>{changes} and %n more</numerusform>
                <numerusform>{changes} and %n more</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>{job}  and %n more</source>
            <translation>
                <numerusform>{job}  and %n more</numerusform>
                <numerusform>{job}  and %n more</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>{names} (has|have) a session: stop it first</source>
            <translation>
                <numerusform>{names} has a session: stop it first</numerusform>
                <numerusform>{names} have a session: stop it first</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>{names} and %n more</source>
            <translation>
                <numerusform>{names} and %n more</numerusform>
                <numerusform>{names} and %n more</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>{name} is served by %n target(s)</source>
            <translation>
                <numerusform>{name} is served by %n target</numerusform>
                <numerusform>{name} is served by %n targets</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>{total}, %n open</source>
            <translation>
                <numerusform>{total}, %n open</numerusform>
                <numerusform>{total}, %n open</numerusform>
            </translation>
        </message>
    </context>
</TS>
