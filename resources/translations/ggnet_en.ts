<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="en">
    <context>
        <name />
        <message numerus="yes">
            <source>%n entr(y|ies)</source>
            <translation>
                <numerusform>%n entry</numerusform>
                <numerusform>%n entries</numerusform>
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
            <source>%n session(s)</source>
            <translation>
                <numerusform>%n session</numerusform>
                <numerusform>%n sessions</numerusform>
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
            <source>%n user(s)</source>
            <translation>
                <numerusform>%n user</numerusform>
                <numerusform>%n users</numerusform>
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
            <source>Edit %n machine(s)</source>
            <translation>
                <numerusform>Edit %n machine</numerusform>
                <numerusform>Edit %n machines</numerusform>
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
            <source>Stop %n session(s)</source>
            <translation>
                <numerusform>Stop %n session</numerusform>
                <numerusform>Stop %n sessions</numerusform>
            </translation>
        </message>
        <message numerus="yes">
            <source>Unlock %n user(s)</source>
            <translation>
                <numerusform>Unlock %n user</numerusform>
                <numerusform>Unlock %n users</numerusform>
            </translation>
        </message>
    </context>
</TS>
